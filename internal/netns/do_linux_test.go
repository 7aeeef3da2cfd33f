package netns_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/netns"
)

// namespace makes a named network namespace, which the test removes.
func namespace(t *testing.T, name string) {
	t.Helper()
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // The thread ends in the new namespace.
		handle, err := vnetns.NewNamed(name)
		if err == nil {
			err = handle.Close()
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vnetns.DeleteNamed(name); err != nil {
			t.Error(err)
		}
	})
}

// current names the namespace of the current thread.
func current(t *testing.T) string {
	t.Helper()
	name, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Error(err)
	}
	return name
}

func TestDo(t *testing.T) {
	namespace(t, "there")
	home := current(t)
	for _, name := range []string{"there", "/run/netns/there", "/run/../run/netns/there"} {
		var there string
		if err := netns.Do(name, func() error {
			there = current(t)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if there == "" || there == home {
			t.Errorf("%s: fn ran in %q, the caller in %q", name, there, home)
		}
		if now := current(t); now != home {
			t.Errorf("%s: the caller went from %s to %s", name, home, now)
		}
	}
}

// What is opened in a namespace stays there: its loopback interface is down,
// and the sandbox's own is up.
func TestDoOpens(t *testing.T) {
	namespace(t, "there")
	var there *netlink.Handle
	if err := netns.Do("there", func() (err error) {
		there, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	lo, err := there.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if lo.Attrs().Flags&net.FlagUp != 0 {
		t.Error("the socket is not in the namespace where it was opened")
	}
	if lo, err = netlink.LinkByName("lo"); err != nil || lo.Attrs().Flags&net.FlagUp == 0 {
		t.Errorf("one's own loopback interface: %v", err)
	}
}

// Threads come back: goroutines that run later are all at home.
func TestDoComesBack(t *testing.T) {
	namespace(t, "there")
	home := current(t)
	for range 100 {
		if err := netns.Do("there", func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		found := make(chan string)
		for range 8 {
			go func() { found <- current(t) }()
		}
		for range 8 {
			if at := <-found; at != home {
				t.Fatalf("a goroutine runs in %s, home is %s", at, home)
			}
		}
	}
}

// A thread that cannot go back is not used again.
func TestDoDoesNotComeBack(t *testing.T) {
	namespace(t, "there")
	home := current(t)
	lost := make(map[int]bool)
	for range 20 {
		if err := netns.Do("there", func() error {
			lost[unix.Gettid()] = true
			// Without this capability, no namespace can be entered.
			return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &make([]unix.CapUserData, 2)[0])
		}); err != nil {
			t.Fatal(err)
		}
		found := make(chan string)
		for range 8 {
			go func() { found <- current(t) }()
		}
		for range 8 {
			if at := <-found; at != home {
				t.Fatalf("a goroutine runs in %s, home is %s", at, home)
			}
		}
	}
	if len(lost) == 0 {
		t.Error("fn never ran")
	}
}

func TestDoReturnsTheError(t *testing.T) {
	namespace(t, "there")
	if err := netns.Do("there", func() error { return fs.ErrClosed }); err != fs.ErrClosed {
		t.Errorf("got %v, want the error of fn", err)
	}
	if err := netns.Do("there", func() error {
		runtime.Goexit()
		return nil
	}); err == nil {
		t.Error("no error of a function that did not return")
	}
}

func TestDoRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		want error // nil: any
	}{
		{"", nil},
		{".", nil},
		{"..", nil},
		{"nowhere", fs.ErrNotExist},
		{"/nowhere", fs.ErrNotExist},
		{file, unix.EINVAL},
		{"/proc/self/ns/mnt", unix.EINVAL},
	} {
		err := netns.Do(test.name, func() error {
			t.Errorf("%q: fn ran", test.name)
			return nil
		})
		if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), "network namespace \""+test.name+"\"") {
			t.Errorf("%q: got %v, want %v", test.name, err, test.want)
		}
	}
}
