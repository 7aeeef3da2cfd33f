package stack_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"

	"github.com/v6stack/v6stack/stack"
)

// patience bounds what would hang for ever if the code were wrong.
const patience = 60 * time.Second

// Addresses of the two ends of a pair.
var (
	left6  = netip.MustParsePrefix("fd00:6::1/64")
	right6 = netip.MustParsePrefix("fd00:6::2/64")
	left4  = netip.MustParsePrefix("192.0.2.1/24")
	right4 = netip.MustParsePrefix("192.0.2.2/24")
)

// newPair returns two stacks with a link "wire" between them, both closed when
// the test ends.
func newPair(t *testing.T, mtu uint32) (left, right *stack.Stack) {
	t.Helper()
	a, b := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", mtu)
	left = newStack(t, stack.Config{Links: []stack.LinkConfig{
		{Name: "wire", Endpoint: a, Addresses: []netip.Prefix{left6, left4}},
	}})
	right = newStack(t, stack.Config{Links: []stack.LinkConfig{
		{Name: "wire", Endpoint: b, Addresses: []netip.Prefix{right6, right4}},
	}})
	return left, right
}

// newStack returns a stack that is closed when the test ends.
func newStack(t *testing.T, cfg stack.Config) *stack.Stack {
	t.Helper()
	s, err := stack.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// network is what a Stack and a Zone have in common.
type network interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	Listen(network, address string) (net.Listener, error)
	ListenPacket(network, address string) (net.PacketConn, error)
}

// echoTCP accepts connections and sends back what comes, until the listener is
// closed, which the end of the test does. The result is the address.
func echoTCP(t *testing.T, n network, netw, address string) net.Listener {
	t.Helper()
	l, err := n.Listen(netw, address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(struct{ io.Writer }{c}, c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l
}

// echoUDP sends each datagram back until the socket is closed, which the end
// of the test does.
func echoUDP(t *testing.T, n network, netw, address string) net.PacketConn {
	t.Helper()
	p, err := n.ListenPacket(netw, address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 65536)
		for {
			k, from, err := p.ReadFrom(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				p.WriteTo(b[:k], from)
			}
		}
	}()
	t.Cleanup(func() {
		p.Close()
		<-done
	})
	return p
}

// dial dials or fails the test; the connection has a deadline and is closed
// when the test ends.
func dial(t *testing.T, n network, netw, address string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := n.DialContext(ctx, netw, address)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c
}

// pattern returns n octets that differ from place to place.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}
