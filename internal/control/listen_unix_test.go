//go:build unix

package control_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/v6stack/v6stack/internal/control"
)

// socketPath returns a path for a socket in a folder of its own, which is
// short: socket's addresses are.
func socketPath(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "v6")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return filepath.Join(folder, "v6stack.sock")
}

// wantFiles checks what is in path's folder.
func wantFiles(t *testing.T, path string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the folder has %q, want %q", got, want)
	}
}

// leaveStale leaves a socket where nobody answers.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// The socket is its user's alone, and goes with the listener.
func TestListen(t *testing.T) {
	path := socketPath(t)
	for _, stale := range []bool{false, true} {
		if stale {
			leaveStale(t, path)
		}
		l, err := control.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("mode %v, want that of a socket that only its user may use", info.Mode())
		}
		if got := l.Addr().String(); got != path {
			t.Errorf("address %q, want %q", got, path)
		}
		wantFiles(t, path, "v6stack.sock")
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		wantFiles(t, path)
		if err := l.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	}
}

// Two do not share a path, and the second does the first no harm.
func TestListenTwice(t *testing.T) {
	path := socketPath(t)
	first, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, err = control.Listen(path)
	if !errors.Is(err, control.ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names %s", err, path)
	}
	wantFiles(t, path, "v6stack.sock")
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// Of many at once one gets the path, stale or not.
func TestListenAtOnce(t *testing.T) {
	for round := range 20 {
		path := socketPath(t)
		if round%2 == 0 {
			leaveStale(t, path)
		}
		var group sync.WaitGroup
		got := make([]net.Listener, 8)
		for i := range got {
			group.Go(func() {
				var err error
				if got[i], err = control.Listen(path); err != nil && !errors.Is(err, control.ErrInUse) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		winners := 0
		for _, l := range got {
			if l != nil {
				winners++
				defer l.Close()
			}
		}
		if winners != 1 {
			t.Fatalf("%d have the path, want 1", winners)
		}
		wantFiles(t, path, "v6stack.sock")
	}
}

// What is no socket stays.
func TestListenRefuses(t *testing.T) {
	path := socketPath(t)
	for name, test := range map[string]struct {
		make func() error
		want string
	}{
		"a file":    {func() error { return os.WriteFile(path, []byte("text"), 0o600) }, "no socket"},
		"a folder":  {func() error { return os.Mkdir(path, 0o700) }, "no socket"},
		"a symlink": {func() error { return os.Symlink("nowhere", path) }, "no socket"},
	} {
		if err := test.make(); err != nil {
			t.Fatal(err)
		}
		_, err := control.Listen(path)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one with %q that names %s", name, err, test.want, path)
		}
		wantFiles(t, path, "v6stack.sock")
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
	absent := filepath.Join(filepath.Dir(path), "absent", "v6stack.sock")
	if _, err := control.Listen(absent); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), absent) {
		t.Errorf("error %v, want one that names %s", err, absent)
	}
}

// A socket that took the place of ours is not ours to remove.
func TestCloseLeavesOthers(t *testing.T) {
	path := socketPath(t)
	ours, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	others, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer others.Close()
	if err := ours.Close(); err != nil {
		t.Error(err)
	}
	wantFiles(t, path, "v6stack.sock")
}

func TestCheckPath(t *testing.T) {
	for path, want := range map[string]string{
		"":                             "empty",
		"v6stack.sock":                 "",
		"/run/v6stack.sock":            "",
		strings.Repeat("x", 200):       "too long",
		"/" + strings.Repeat("x/", 60): "too long",
		strings.Repeat("x", 90):        "",
	} {
		err := control.CheckPath(path)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error %v, want %q", path, err, want)
		}
	}
	if _, err := control.Listen(strings.Repeat("x", 200)); err == nil {
		t.Error("a path that is too long was listened at")
	}
}

func TestDefaultPath(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1000")
	if got, want := control.DefaultPath(), "/run/user/1000/v6stack.sock"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	t.Setenv("XDG_RUNTIME_DIR", "")
	if got := control.DefaultPath(); !strings.HasSuffix(got, "/run/v6stack.sock") {
		t.Errorf("%q, want /run/v6stack.sock or /var/run/v6stack.sock", got)
	}
}
