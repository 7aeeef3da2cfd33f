package linkep_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

func init() {
	links = append(links, fdLinks...)
}

// fdLinks are links over gVisor's fdbased endpoint, which knows Linux only.
var fdLinks = []struct {
	name string
	make func(t testing.TB) link
}{
	{"fdbased", func(t testing.TB) link {
		return newFDLink(t, fdbased.Options{ProcessorsPerChannel: 1})
	}},
	{"fdbased with processors", func(t testing.TB) link {
		return newFDLink(t, fdbased.Options{ProcessorsPerChannel: 2})
	}},
	{"fdbased with Ethernet", func(t testing.TB) link {
		return newFDLink(t, fdbased.Options{ProcessorsPerChannel: 1, EthernetHeader: true, Address: localMAC})
	}},
}

// An fdLink is gVisor's fdbased endpoint on a socket whose other end is the
// test's.
type fdLink struct {
	gstack.LinkEndpoint
	far      int
	ethernet bool
}

func newFDLink(t testing.TB, options fdbased.Options) *fdLink {
	t.Helper()
	near, far := socketPair(t)
	options.FDs = []int{near}
	options.MTU = mtu
	e, err := fdbased.New(&options)
	if err != nil {
		t.Fatalf("fdbased: %v", err)
	}
	return &fdLink{e, far, options.EthernetHeader}
}

// socketPair returns two connected sockets, closed when the test ends.
func socketPair(t testing.TB) (near, far int) {
	t.Helper()
	near, far = openPair(t)
	t.Cleanup(func() { closePair(near, far) })
	return near, far
}

func openPair(t testing.TB) (near, far int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("socket pair: %v", err)
	}
	return fds[0], fds[1]
}

func closePair(near, far int) {
	unix.Close(near)
	unix.Close(far)
}

func (l *fdLink) endpoint() gstack.LinkEndpoint { return l.LinkEndpoint }

func (l *fdLink) send(t testing.TB, packet []byte) {
	t.Helper()
	if l.ethernet {
		packet = frame(packet)
	}
	if _, err := unix.Write(l.far, packet); err != nil {
		t.Fatalf("write to the link: %v", err)
	}
}

func (l *fdLink) receive(t testing.TB) []byte {
	t.Helper()
	wait := []unix.PollFd{{Fd: int32(l.far), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(wait, int(patience/time.Millisecond))
		if err == unix.EINTR {
			continue
		}
		if n != 1 || err != nil {
			t.Fatalf("poll: %d, %v: nothing was sent", n, err)
		}
		break
	}
	octets := make([]byte, 1<<16)
	n, err := unix.Read(l.far, octets)
	if err != nil {
		t.Fatalf("read from the link: %v", err)
	}
	if l.ethernet {
		return unframe(t, octets[:n])
	}
	return octets[:n]
}
