package config

import (
	"bytes"
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// read reads the text into the document, and notes where everything stands. It
// reports whether the document is as the text says, but for unknown keys.
func (b *builder) read(text []byte) (ok bool) {
	w := walk(text)
	b.places = w.places
	decoder := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	err := decoder.Decode(&b.document)
	var wrong *toml.DecodeError
	var strict *toml.StrictMissingError
	switch {
	case errors.As(err, &strict):
		b.addUnknown(w, strict)
		return !w.misshapen
	case errors.As(err, &wrong):
		b.addWrong(w, wrong)
	case err != nil:
		b.add(b.places[""], strings.TrimPrefix(err.Error(), "toml: "))
	default:
		b.problems = append(b.problems, w.alien...)
		return !w.misshapen
	}
	return false
}

// addUnknown adds the unknown keys; those that only the decoder finds, too.
func (b *builder) addUnknown(w *walker, strict *toml.StrictMissingError) {
	b.problems = append(b.problems, w.alien...)
	if len(w.alien) > 0 {
		return
	}
	for i := range strict.Errors {
		e := &strict.Errors[i]
		line, column := e.Position()
		b.add(place{line: line, column: column}, "unknown key "+strings.Join(e.Key(), "."))
	}
}

// addWrong adds what the decoder says. Of a value of a wrong type it knows only
// Go's; the schema knows better.
func (b *builder) addWrong(w *walker, wrong *toml.DecodeError) {
	line, column := wrong.Position()
	at := place{line: line, column: column}
	for _, problem := range w.alien {
		if problem.Line == line && (problem.Column == column || w.misshapen) {
			b.problems = append(b.problems, problem)
			return
		}
	}
	message := strings.TrimPrefix(wrong.Error(), "toml: ")
	if path, ok := w.valueAt(at); ok && strings.HasPrefix(message, "cannot") {
		b.unwanted(path)
		return
	}
	b.add(at, message)
}

// valueAt returns the path of the innermost value that stands at a place.
func (w *walker) valueAt(at place) (path string, ok bool) {
	for candidate, p := range w.places {
		if p.line == at.line && p.column == at.column && p.text != "" && len(candidate) > len(path) {
			path, ok = candidate, true
		}
	}
	return path, ok
}
