package routerbench

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/netns"
)

const (
	// chunk is what is counted at once, in octets.
	chunk = 1 << 20
	// underWay is more than sockets hold, in octets.
	underWay = 16 << 20
	// warmUp is how long a transfer runs before it is measured.
	warmUp = 300 * time.Millisecond
	// patience is how long anything may make no progress.
	patience = 30 * time.Second
)

// BenchmarkTCP measures one connection at full speed; an operation is a chunk.
func BenchmarkTCP(b *testing.B) {
	for _, r := range routers {
		b.Run("router="+r.name, func(b *testing.B) {
			ends := newEnds(b)
			r.start(b, ends)
			from, to := connect(b, ends)
			measure(b, from, to)
		})
	}
}

// connect returns both ends of a connection from the first end to the second.
func connect(b *testing.B, ends [2]end) (from, to *net.TCPConn) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	var listener net.Listener
	err := netns.Do(ends[1].namespace, func() (err error) {
		// The address may be the kernel's own a moment later than it is set.
		config := net.ListenConfig{Control: freeBind}
		listener, err = config.Listen(ctx, "tcp6", net.JoinHostPort(ends[1].host.Addr().String(), "0"))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	context.AfterFunc(ctx, func() { listener.Close() })
	err = netns.Do(ends[0].namespace, func() error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp6", listener.Addr().String())
		if err == nil {
			from = conn.(*net.TCPConn)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		from.Close()
		b.Fatal(err)
	}
	return from, accepted.(*net.TCPConn)
}

// freeBind lets a socket be bound to an address that is not there yet.
func freeBind(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
	})
	if err != nil {
		return err
	}
	return failed
}

// measure reports how fast octets go from one socket to the other, and what the
// process has used for it. It owns the sockets.
func measure(b *testing.B, from, to *net.TCPConn) {
	s := startStream(b, from, to)
	for start := time.Now(); time.Since(start) < warmUp; {
		s.await(b)
	}
	s.order(b, doSkip)
	for range 4 { // until it has heard of it
		s.await(b)
	}
	before := processorTime(b)
	for b.Loop() {
		s.await(b)
	}
	spent := processorTime(b) - before
	s.order(b, doCompare)
	for range underWay / chunk {
		s.await(b)
	}
	octets := float64(b.N) * chunk
	b.ReportMetric(octets*8/b.Elapsed().Seconds()/1e9, "Gbit/s")
	b.ReportMetric(spent.Seconds()/(octets/1e9), "cpu-s/GB")
}

// processorTime returns what the process has used, its system calls included.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
