package netns

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// directory is where named network namespaces are, as "ip netns add" makes
// them.
const directory = "/run/netns"

// errNoReturn is what [Do] gives for a function that ended its goroutine.
var errNoReturn = errors.New("network namespace: the function did not return")

// Do runs fn on a thread of its own inside a network namespace and returns
// what fn returns. The namespace is a name in /run/netns, or a path if it
// contains a slash. The caller stays where it is, and so do the goroutines
// that fn starts. If fn cannot be run, the error names the namespace.
//
// A thread that does not find its way back is never used again.
func Do(namespace string, fn func() error) error {
	target, err := open(namespace)
	if err != nil {
		return fmt.Errorf("network namespace %q: %w", namespace, err)
	}
	defer unix.Close(target)
	result := make(chan error, 1)
	go func() {
		err := errNoReturn
		defer func() { result <- err }()
		err = visit(namespace, target, fn)
	}()
	return <-result
}

// open opens the namespace that is called namespace.
func open(namespace string) (int, error) {
	path := namespace
	switch {
	case namespace == "":
		return -1, errors.New("its name is empty")
	case namespace == "." || namespace == "..":
		return -1, errors.New("not a name")
	case !strings.Contains(namespace, "/"):
		path = filepath.Join(directory, namespace)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	return fd, nil
}

// visit runs fn on the current thread, which is in the namespace target
// meanwhile. The caller is a goroutine that ends afterwards: where the way
// back fails, the thread stays locked to it, and ends with it.
func visit(namespace string, target int, fn func() error) error {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("network namespace: open one's own: %w", err)
	}
	defer unix.Close(home)
	if err := unix.Setns(target, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("network namespace %q: enter: %w", namespace, err)
	}
	defer func() {
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return fn()
}
