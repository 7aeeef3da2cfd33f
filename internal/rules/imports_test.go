package rules_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/v6stack/v6stack"

// A rule forbids packages below dir to import what begins with one of the
// prefixes, tests apart.
type rule struct {
	dir      string
	forbids  []string
	but      []string // exceptions to forbids
	because  string
	andTests bool
}

const gvisor = "gvisor.dev/gvisor/pkg/"

var rules = []rule{
	{
		dir:     "defrag",
		forbids: []string{gvisor, module, "github.com/", "golang.org/x/", "log", "net", "os"},
		but:     []string{gvisor + "buffer", gvisor + "tcpip"},
		because: "defrag is the engine alone: gVisor buffers in, gVisor buffers out, no stack, device, logger or metrics",
	},
	{
		dir:     "defrag",
		forbids: []string{gvisor + "tcpip/"},
		because: "defrag does not know gVisor's stack",
	},
	{
		dir:     "linkep",
		forbids: []string{module + "/", "log", "os"},
		but:     []string{module + "/defrag"},
		because: "linkep wraps any link endpoint; it brings no device and no logger",
	},
	{
		dir:     "tun",
		forbids: []string{module + "/"},
		but:     []string{module + "/tun", module + "/internal/"},
		because: "tun is for any gVisor stack, ours or not",
	},
	{
		dir:     "stack",
		forbids: []string{module + "/"},
		but:     []string{module + "/defrag", module + "/linkep", module + "/stack", module + "/stack/", module + "/internal/"},
		because: "an embedder brings any link endpoint, so stack does not know tun",
	},
	{
		dir:     "stack/filter",
		forbids: []string{gvisor, module, "github.com/", "log", "os"},
		but:     []string{gvisor + "buffer", gvisor + "tcpip"},
		because: "stack/filter judges packets, and knows neither the stack nor a clock",
	},
	{
		dir:     "stack/filter",
		forbids: []string{gvisor + "tcpip/"},
		because: "stack/filter does not know gVisor's stack",
	},
	{
		dir:      ".",
		forbids:  []string{module + "/cmd/", module + "/e2e"},
		because:  "nothing stands above the program and the tests of the whole",
		andTests: true,
	},
}

// TestImports checks that imports point downwards only.
func TestImports(t *testing.T) {
	seen := make(map[string]bool)
	eachGoFile(t, func(file string) {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash("../../"+file), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rules {
				seen[r.dir] = seen[r.dir] || r.covers(file)
				if r.covers(file) && r.forbidden(imported) {
					t.Errorf("%s imports %s: %s", file, imported, r.because)
				}
			}
		}
	})
	for _, r := range rules {
		if !seen[r.dir] {
			t.Errorf("the rule of %s met no file", r.dir)
		}
	}
}

// TestSystemCalls checks that golang.org/x/sys/unix is imported only by files
// whose names say for which systems they are, or that they are unsafe.
func TestSystemCalls(t *testing.T) {
	const unix = "golang.org/x/sys/unix"
	met := false
	eachGoFile(t, func(file string) {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash("../../"+file), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			if spec.Path.Value != strconv.Quote(unix) {
				continue
			}
			met = true
			if !mayCallSystem(file) {
				t.Errorf("%s imports %s: only files named *_linux, *_unix or *_unsafe do", file, unix)
			}
		}
	})
	if !met {
		t.Errorf("no file imports %s", unix)
	}
}

// mayCallSystem reports whether the name of file says that it is for certain
// systems only, or unsafe.
func mayCallSystem(file string) bool {
	name := strings.TrimSuffix(strings.TrimSuffix(file, ".go"), "_test")
	for _, suffix := range []string{"_linux", "_unix", "_unsafe"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// TestForbidden checks the rules themselves.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		file, imported string
		want           bool
	}{
		{"defrag/engine.go", gvisor + "tcpip/stack", true},
		{"defrag/engine.go", gvisor + "tcpip", false},
		{"defrag/engine.go", gvisor + "buffer", false},
		{"defrag/engine.go", "log/slog", true},
		{"defrag/engine_test.go", gvisor + "tcpip/faketime", false},
		{"linkep/endpoint.go", module + "/tun", true},
		{"linkep/endpoint.go", module + "/defrag", false},
		{"stack/stack.go", module + "/tun", true},
		{"tun/device.go", module + "/linkep", true},
		{"stack/stack_test.go", module + "/e2e", true},
	} {
		got := false
		for _, r := range rules {
			got = got || r.covers(c.file) && r.forbidden(c.imported)
		}
		if got != c.want {
			t.Errorf("%s imports %s: forbidden %v, want %v", c.file, c.imported, got, c.want)
		}
	}
}

// covers reports whether the rule holds for file.
func (r *rule) covers(file string) bool {
	if strings.HasSuffix(file, "_test.go") && !r.andTests {
		return false
	}
	return r.dir == "." || strings.HasPrefix(file, r.dir+"/")
}

// forbidden reports whether the rule forbids the import.
func (r *rule) forbidden(imported string) bool {
	for _, exception := range r.but {
		if imported == exception || strings.HasSuffix(exception, "/") && strings.HasPrefix(imported, exception) {
			return false
		}
	}
	for _, prefix := range r.forbids {
		if imported == prefix || strings.HasPrefix(imported, strings.TrimSuffix(prefix, "/")+"/") {
			return true
		}
	}
	return false
}

// eachGoFile calls visit with every Go file of the module, by its path from
// the module's root.
func eachGoFile(t *testing.T, visit func(file string)) {
	t.Helper()
	root := filepath.FromSlash("../..")
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if entry.IsDir() && relative != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if path.Ext(name) == ".go" {
			visit(filepath.ToSlash(relative))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
