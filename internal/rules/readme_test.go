package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeExample checks that the README's program text stands, line by line,
// in the compiled example of linkep.
func TestReadmeExample(t *testing.T) {
	readme := readFile(t, "README.md")
	_, rest, found := strings.Cut(readme, "```go\n")
	code, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("README.md has no Go code")
	}
	if example := readFile(t, "linkep/example_test.go"); !strings.Contains(flatten(example), flatten(code)) {
		t.Errorf("linkep/example_test.go does not hold the README's example:\n%s", code)
	}
}

// flatten returns text without indentation and empty lines.
func flatten(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// readFile returns a file of the module by its path from the root.
func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.FromSlash("../../" + name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
