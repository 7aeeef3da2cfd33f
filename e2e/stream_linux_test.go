package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
)

// A stream is octets that say where they belong: no two parts of it are alike.
// Streams of the same name are the same.
type stream struct{ source *rand.ChaCha8 }

func newStream(name byte) stream { return stream{rand.NewChaCha8([32]byte{name})} }

// write writes the next octets of the stream, up to size, in as many pieces as
// piece, which gives the length of each, wants.
func (s stream) write(w io.Writer, size int, piece func() int) error {
	buffer := make([]byte, 1<<16)
	for size > 0 {
		part := buffer[:min(piece(), size, len(buffer))]
		s.source.Read(part)
		if _, err := w.Write(part); err != nil {
			return err
		}
		size -= len(part)
	}
	return nil
}

// check reads as many octets and compares them with the stream's next.
func (s stream) check(r io.Reader, size int) error {
	got, want := make([]byte, 1<<16), make([]byte, 1<<16)
	for at := 0; at < size; {
		part := got[:min(size-at, len(got))]
		if _, err := io.ReadFull(r, part); err != nil {
			return fmt.Errorf("behind %d octets: %w", at, err)
		}
		s.source.Read(want[:len(part)])
		if err := same(part, want[:len(part)]); err != nil {
			return fmt.Errorf("behind %d octets: %w", at, err)
		}
		at += len(part)
	}
	return nil
}

// whole gives pieces as large as write has them.
func whole() int { return 1 << 16 }

// small gives pieces that are no segment each, with some that are more.
func small() func() int {
	random := rand.New(rand.NewPCG(6, 6))
	return func() int { return 1 + random.IntN(1+random.IntN(3000)) }
}

// A connection is the two ends of one, both of them in this process.
type connection struct {
	host, stack net.Conn
	between     func() // called between streams
}

// connect opens a connection from the calling thread's network namespace to a
// port that l listens at for it. It ends with the test, or when patience does.
func connect(t *testing.T, l listener, to netip.AddrPort) connection {
	t.Helper()
	listening, err := l.Listen("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	ctx := within(t)
	var dialer net.Dialer
	host, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	c := connection{host: host, between: func() {}}
	context.AfterFunc(ctx, func() { host.Close() })
	if c.stack, err = listening.Accept(); err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(ctx, func() { c.stack.Close() })
	return c
}

// carry sends a stream from one end to the other, in pieces, and checks it
// there.
func (c connection) carry(from, to net.Conn, name byte, size int, piece func() int) error {
	written := make(chan error, 1)
	go func() { written <- newStream(name).write(from, size, piece) }()
	err := newStream(name).check(to, size)
	if err != nil {
		from.Close() // The writer may be waiting for the reader.
	}
	return errors.Join(err, <-written)
}

// finish closes both ends, one direction after the other: the last octet of a
// stream comes before its end.
func (c connection) finish() error {
	for _, way := range [][2]net.Conn{{c.host, c.stack}, {c.stack, c.host}} {
		if _, err := way[0].Write([]byte("end")); err != nil {
			return err
		}
		if err := way[0].(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			return err
		}
		rest, err := io.ReadAll(way[1])
		if err != nil || !bytes.Equal(rest, []byte("end")) {
			return fmt.Errorf("at its end there is %q, %v", rest, err)
		}
	}
	return errors.Join(c.host.Close(), c.stack.Close())
}

// carryAll sends streams one way and the other way, in large pieces and in many
// small ones, and small ones both ways at once: of those no more than either end
// has room for, whether it is read or not. A TCP whose window is closed while it
// sends may take no notice of acknowledgements.
func (c connection) carryAll(size int) error {
	const room = 1 << 16
	for _, way := range []struct {
		from, to net.Conn
		name     byte
		size     int
		piece    func() int
	}{
		{c.host, c.stack, 1, size, whole}, {c.stack, c.host, 2, size, whole},
		{c.host, c.stack, 3, size / 4, small()}, {c.stack, c.host, 4, size / 4, small()},
	} {
		if err := c.carry(way.from, way.to, way.name, way.size, way.piece); err != nil {
			return fmt.Errorf("stream %d: %w", way.name, err)
		}
		c.between()
	}
	back := make(chan error, 1)
	go func() { back <- c.carry(c.stack, c.host, 5, room, small()) }()
	if err := errors.Join(c.carry(c.host, c.stack, 6, room, small()), <-back); err != nil {
		return fmt.Errorf("both ways: %w", err)
	}
	return c.finish()
}

// allowECN has the kernel of the calling thread's network namespace ask for
// congestion signals until the test ends.
func allowECN(t *testing.T) {
	t.Helper()
	const path, ask = "/proc/sys/net/ipv4/tcp_ecn", "1"
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(ask), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile(path, before, 0) })
}

// TestStreams sends streams over TCP of both families, and with congestion
// signals allowed. Every octet of them is looked at.
func TestStreams(t *testing.T) {
	const size, port = 2 << 20, 5001
	eachKind(t, func(t *testing.T, k kind) {
		n := startNode(t, nodeConfig{kind: k})
		for _, test := range []struct {
			name    string
			address netip.Addr
			signals bool
		}{{"IPv6", stackAddr, false}, {"IPv4", stackPrefix4.Addr(), false}, {"ECN", stackAddr, true}} {
			t.Run(test.name, func(t *testing.T) {
				if test.signals {
					allowECN(t)
				}
				if err := connect(t, n.stack, netip.AddrPortFrom(test.address, port)).carryAll(size); err != nil {
					t.Error(err)
				}
			})
		}
	})
}
