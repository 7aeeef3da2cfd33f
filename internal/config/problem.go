package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Error is all that is wrong with a file.
type Error struct {
	// File is the name of the file.
	File string
	// Problems in the order of the file; there is at least one.
	Problems []Problem
}

// A Problem is one thing that is wrong.
type Problem struct {
	// Line and Column, in octets, where it stands; both count from 1.
	Line, Column int
	// Message names the key, the value and what is allowed.
	Message string
}

// newError returns an error with the problems in order. A problem without a
// place is about what the decoder made of a misshapen file, and follows from
// one that has a place.
func newError(file string, problems []Problem) *Error {
	placed := slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool { return p.Line == 0 })
	if len(placed) == 0 {
		placed = append(placed, Problem{Line: 1, Column: 1, Message: problems[0].Message})
	}
	problems = placed
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{File: file, Problems: slices.Compact(problems)}
}

// Error returns a line "FILE:LINE:COLUMN: message" for each problem, without
// the last line's end.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("%s:%d:%d: %s", e.File, p.Line, p.Column, p.Message)
	}
	return strings.Join(lines, "\n")
}

// add adds a problem at a place.
func (b *builder) add(at place, message string) {
	b.problems = append(b.problems, Problem{Line: at.line, Column: at.column, Message: message})
}

// refuse says what is wrong with the value that path leads to.
func (b *builder) refuse(path, format string, args ...any) {
	at := b.places[path]
	b.add(at, fmt.Sprintf("%s = %s: %s", keyName(path), at.text, fmt.Sprintf(format, args...)))
}

// unwanted refuses the value that path leads to as one that never is right.
func (b *builder) unwanted(path string) {
	k, _ := schema.at(path)
	b.refuse(path, "want %s", k.want)
}

// missing says that a table lacks a key.
func (b *builder) missing(table, name string) {
	k, _ := schema.at(table + "." + name)
	b.add(b.places[table], fmt.Sprintf("%s: %s is missing: want %s", tableName(table), name, k.want))
}

// has reports whether the file has something where path leads.
func (b *builder) has(path string) bool {
	_, ok := b.places[path]
	return ok
}
