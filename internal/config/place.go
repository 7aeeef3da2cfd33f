package config

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// A place is where something stands in a file: a value, or the key of a table.
type place struct {
	line, column int    // from 1; columns are octets
	text         string // of a value, as it stands there
}

// places holds the places of everything in a file by its path, such as
// "link[0].host_addresses[1]".
type places map[string]place

// A walker goes through a file and notes its places.
type walker struct {
	parser unstable.Parser
	text   []byte
	places places
	counts map[string]int // of the elements of arrays of tables
	// alien are the keys that the schema does not have, or has otherwise, as
	// misshapen tells.
	alien     []Problem
	misshapen bool
}

// walk returns the places of a file, up to the first error in its syntax.
func walk(text []byte) *walker {
	w := &walker{text: text, places: make(places), counts: make(map[string]int)}
	w.places[""] = place{line: 1, column: 1}
	w.parser.Reset(text)
	table := ""
	for w.parser.NextExpression() {
		switch e := w.parser.Expression(); e.Kind {
		case unstable.KeyValue:
			w.keyValue(table, e)
		case unstable.Table, unstable.ArrayTable:
			table = w.header(e)
		}
	}
	return w
}

// header notes the header of a table and returns the table's path; of a table
// that the schema does not have, a part of it.
func (w *walker) header(e *unstable.Node) (path string) {
	array := e.Kind == unstable.ArrayTable
	for it := e.Key(); it.Next(); {
		parent, at := path, w.place(it.Node().Raw)
		path = join(path, it.Node())
		k, known := schema.at(path)
		switch {
		case !known:
			w.unknown(parent, path, at)
			return path
		case it.IsLast() && (!k.table || k.array != array):
			w.misshapen = true
			w.alien = append(w.alien, Problem{at.line, at.column, fmt.Sprintf("%s: want %s", keyName(path), k.want)})
		}
		if it.IsLast() && array {
			w.counts[path]++
		}
		if n := w.counts[path]; n > 0 {
			path = element(path, n-1)
		}
		if it.IsLast() {
			w.places[path] = at
		}
	}
	return path
}

// keyValue notes a key of a table and its value. Keys of a table that the
// schema does not have are not worth a word of their own.
func (w *walker) keyValue(table string, e *unstable.Node) {
	if _, known := schema.at(table); !known {
		return
	}
	path := table
	var last unstable.Range
	for it := e.Key(); it.Next(); {
		parent := path
		path = join(path, it.Node())
		last = it.Node().Raw
		if _, known := schema.at(path); !known {
			w.unknown(parent, path, w.place(last))
			return
		}
	}
	start := int(last.Offset + last.Length)
	start += len(w.text[start:]) - len(bytes.TrimLeft(w.text[start:], " \t="))
	end := int(e.Raw.Offset + e.Raw.Length)
	at := w.place(unstable.Range{Offset: uint32(start)})
	at.text = oneLine(w.text[start:max(start, end)])
	w.value(path, at, e.Value())
}

// value notes a value and what is in it.
func (w *walker) value(path string, at place, value *unstable.Node) {
	w.places[path] = at
	n := 0
	for it := value.Children(); it.Next(); {
		switch child := it.Node(); {
		case value.Kind == unstable.InlineTable:
			w.keyValue(path, child)
		case child.Raw.Length > 0:
			inner := w.place(child.Raw)
			inner.text = oneLine(w.parser.Raw(child.Raw))
			w.value(element(path, n), inner, child)
		default:
			w.value(element(path, n), at, child)
		}
		n++
	}
}

// unknown notes a key, below parent, that the schema does not have.
func (w *walker) unknown(parent, path string, at place) {
	name := strings.TrimPrefix(strings.TrimPrefix(path, parent), ".")
	message := "unknown key " + name
	if k, _ := schema.at(parent); len(k.keys) > 0 {
		// The decoder does not mind upper case, and fills the document in.
		isName := func(key string) bool { return strings.EqualFold(key, name) }
		w.misshapen = w.misshapen || slices.ContainsFunc(k.keys, isName)
		message += fmt.Sprintf(" in %s: want one of %s", tableName(parent), strings.Join(k.keys, ", "))
	}
	w.alien = append(w.alien, Problem{at.line, at.column, message})
}

// place returns where a part of the text stands.
func (w *walker) place(r unstable.Range) place {
	before := w.text[:r.Offset]
	return place{
		line:   bytes.Count(before, []byte("\n")) + 1,
		column: len(before) - bytes.LastIndexByte(before, '\n'),
	}
}

var bare = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// join returns the path of a key below another one.
func join(path string, k *unstable.Node) string {
	name := string(k.Data)
	if !bare.MatchString(name) {
		name = strconv.Quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// element returns the path of an element of an array.
func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// keyName returns the key that path ends with, without its index.
func keyName(path string) string {
	path = index.ReplaceAllString(path, "")
	return path[strings.LastIndexByte(path, '.')+1:]
}

// tableName returns a table as its header has it.
func tableName(path string) string {
	switch k, _ := schema.at(path); {
	case path == "":
		return "the file"
	case k.array:
		return "[[" + keyName(path) + "]]"
	}
	return "[" + keyName(path) + "]"
}

// oneLine returns a value's text, cut where it is long.
func oneLine(text []byte) string {
	const most = 80
	s := string(bytes.TrimSpace(text))
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		s = s[:i] + "…"
	}
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
