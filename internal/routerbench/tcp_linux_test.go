package routerbench

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/netns"
)

const (
	// chunk is what is read at once, in octets.
	chunk = 256 << 10
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
		s.compare(b)
	}
	before := processorTime(b)
	for b.Loop() {
		s.read(b)
	}
	spent := processorTime(b) - before
	for range underWay / chunk {
		s.compare(b)
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

// A stream is a connection on which the same block is sent again and again.
type stream struct {
	to           *net.TCPConn
	block, chunk []byte
	received     int64
}

// startStream begins to send. It ends with b, and so do both sockets.
func startStream(b *testing.B, from, to *net.TCPConn) *stream {
	s := &stream{
		to:    to,
		block: make([]byte, chunk-5), // so that no two chunks are the same
		chunk: make([]byte, chunk),
	}
	rand.NewChaCha8([32]byte{}).Read(s.block)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := from.Write(s.block); err != nil {
				return
			}
		}
	}()
	b.Cleanup(func() {
		for _, conn := range []*net.TCPConn{from, to} {
			// A reset leaves no socket behind that waits for the other end, which
			// loses its device.
			conn.SetLinger(0)
			conn.SetDeadline(time.Now()) // wakes those that wait
			conn.Close()
		}
		<-done
	})
	return s
}

// read reads a chunk.
func (s *stream) read(b *testing.B) {
	if s.received%(64*chunk) == 0 {
		s.to.SetReadDeadline(time.Now().Add(patience))
	}
	if _, err := io.ReadFull(s.to, s.chunk); err != nil {
		b.Fatalf("after %d octets: %v", s.received, err)
	}
	s.received += chunk
}

// compare reads a chunk and compares it with what was sent.
func (s *stream) compare(b *testing.B) {
	at := int(s.received % int64(len(s.block)))
	s.read(b)
	for rest := s.chunk; len(rest) > 0; at = 0 {
		n := min(len(rest), len(s.block)-at)
		if !bytes.Equal(rest[:n], s.block[at:at+n]) {
			b.Fatalf("before octet %d: not what was sent", s.received)
		}
		rest = rest[n:]
	}
}
