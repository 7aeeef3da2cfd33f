package routerbench

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// mtu is that of every device, in octets.
const mtu = 1500

// An end is one side of the router: a namespace with a host, and the router's
// address there.
type end struct {
	name         string // of the interface
	host, router netip.Prefix
	namespace    string // a path, as package netns takes it
}

// newEnds returns both, with fresh namespaces that end with b.
func newEnds(b *testing.B) [2]end {
	b.Helper()
	ends := [2]end{
		{name: "left", host: netip.MustParsePrefix("fd00:a::1/64"), router: netip.MustParsePrefix("fd00:a::ff/64")},
		{name: "right", host: netip.MustParsePrefix("fd00:b::1/64"), router: netip.MustParsePrefix("fd00:b::ff/64")},
	}
	for i := range ends {
		ends[i].namespace = newNamespace(b)
	}
	return ends
}

// newNamespace returns the path of a new network namespace, which lasts until b
// ends.
func newNamespace(b *testing.B) string {
	b.Helper()
	type result struct {
		fd  int
		err error
	}
	made := make(chan result)
	go func() {
		// The thread ends with the goroutine, which stays locked to it.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- result{-1, err}
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		made <- result{fd, err}
	}()
	r := <-made
	if r.err != nil {
		b.Fatalf("make a network namespace: %v", r.err)
	}
	b.Cleanup(func() { unix.Close(r.fd) })
	return fmt.Sprintf("/proc/self/fd/%d", r.fd)
}
