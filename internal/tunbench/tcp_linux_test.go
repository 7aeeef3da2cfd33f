package tunbench

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// port of the servers.
	port = 5001
	// chunk is what is read at once, in octets.
	chunk = 256 << 10
	// warmUp is how long a transfer runs before it is measured.
	warmUp = 200 * time.Millisecond
)

var directions = []string{"up", "down"}

// BenchmarkTCP measures one connection at full speed; an operation is a chunk.
func BenchmarkTCP(b *testing.B) {
	for _, direction := range directions {
		b.Run("dir="+direction, func(b *testing.B) {
			for _, d := range devices {
				b.Run("device="+d.name, func(b *testing.B) { measureTCP(b, d, direction) })
			}
		})
	}
}

func measureTCP(b *testing.B, d device, direction string) {
	kernel, gvisor := connectTCP(b, startNetstack(b, d.open(b)))
	from, to := kernel, gvisor
	if direction == "down" {
		from, to = gvisor, kernel
	}
	s := startStream(b, from, to)
	for start := time.Now(); time.Since(start) < warmUp; {
		s.compare(b)
	}
	before := processorTime(b)
	for b.Loop() {
		s.read(b)
	}
	spent := processorTime(b) - before
	for range streamMax / chunk { // what may be under way
		s.compare(b)
	}
	octets := float64(b.N) * chunk
	b.ReportMetric(octets*8/b.Elapsed().Seconds()/1e9, "Gbit/s")
	b.ReportMetric(spent.Seconds()/(octets/1e9), "cpu-s/GB")
}

// connectTCP returns both ends of a connection from the kernel to s.
func connectTCP(b *testing.B, s *gstack.Stack) (kernel, gvisor net.Conn) {
	b.Helper()
	local := tcpip.FullAddress{Addr: tcpip.AddrFrom16(stackPrefix.Addr().As16()), Port: port}
	listener, err := gonet.ListenTCP(s, local, ipv6.ProtocolNumber)
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	context.AfterFunc(ctx, listener.Shutdown)
	address := &net.TCPAddr{IP: stackPrefix.Addr().AsSlice(), Port: port}
	kernel, err = new(net.Dialer).DialContext(ctx, "tcp6", address.String())
	if err != nil {
		b.Fatal(err)
	}
	gvisor, err = listener.Accept()
	if err != nil {
		kernel.Close()
		b.Fatal(err)
	}
	return kernel, gvisor
}

// A stream is a connection on which the same block is sent again and again.
type stream struct {
	*watchdog
	to           net.Conn
	block, chunk []byte
}

// startStream begins to send. It ends with b, and so do both connections.
func startStream(b *testing.B, from, to net.Conn) *stream {
	s := &stream{
		to:    to,
		block: make([]byte, chunk-5), // so that no two chunks are the same
		chunk: make([]byte, chunk),
	}
	rand.NewChaCha8([32]byte{}).Read(s.block)
	done := make(chan struct{})
	b.Cleanup(func() { <-done })
	s.watchdog = watch(b, from, to)
	go func() {
		defer close(done)
		for {
			if _, err := from.Write(s.block); err != nil {
				return
			}
		}
	}()
	return s
}

// read reads a chunk.
func (s *stream) read(b *testing.B) {
	if _, err := io.ReadFull(s.to, s.chunk); err != nil {
		s.fail(b, err)
	}
	s.progress.Add(chunk)
}

// compare reads a chunk and compares it with what was sent.
func (s *stream) compare(b *testing.B) {
	at := int(s.progress.Load() % int64(len(s.block)))
	s.read(b)
	for rest := s.chunk; len(rest) > 0; at = 0 {
		n := min(len(rest), len(s.block)-at)
		if !bytes.Equal(rest[:n], s.block[at:at+n]) {
			b.Fatalf("before octet %d: not what was sent", s.progress.Load())
		}
		rest = rest[n:]
	}
}
