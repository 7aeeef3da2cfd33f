package stack_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"

	"github.com/v6stack/v6stack/stack"
)

// Whatever waits when the stack closes ends with ErrClosed.
func TestCloseEndsWhatWaits(t *testing.T) {
	left, right := newPair(t, 1500)
	echoTCP(t, right, "tcp", ":7")
	c := dial(t, left, "tcp", "[fd00:6::2]:7")
	u := dial(t, left, "udp", "[fd00:6::2]:9")
	l, err := left.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	p, err := left.ListenPacket("udp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	waits := map[string]func() error{
		"Read":     func() error { _, err := c.Read(make([]byte, 1)); return err },
		"ReadUDP":  func() error { _, err := u.Read(make([]byte, 1)); return err },
		"Accept":   func() error { _, err := l.Accept(); return err },
		"ReadFrom": func() error { _, _, err := p.ReadFrom(make([]byte, 1)); return err },
		"Dial": func() error { // nobody has that address
			_, err := left.DialContext(context.Background(), "tcp", "[fd00:6::dead]:7")
			return err
		},
	}
	var begun, ended sync.WaitGroup
	for name, wait := range waits {
		begun.Add(1)
		ended.Go(func() {
			begun.Done()
			if err := wait(); !errors.Is(err, stack.ErrClosed) || !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v, want ErrClosed", name, err)
			}
		})
	}
	begun.Wait()
	if err := left.Close(); err != nil {
		t.Error(err)
	}
	ended.Wait()
}

func TestUseAfterClose(t *testing.T) {
	left, right := newPair(t, 1500)
	echoTCP(t, right, "tcp", ":7")
	c := dial(t, left, "tcp", "[fd00:6::2]:7")
	u := dial(t, left, "udp", "[fd00:6::2]:7")
	left.Close()
	b := make([]byte, 1)
	for name, use := range map[string]func() error{
		"Read":  func() error { _, err := c.Read(b); return err },
		"Write": func() error { _, err := c.Write(b); return err },
		"UDP":   func() error { _, err := u.Write(b); return err },
		"Dial": func() error {
			_, err := left.DialContext(context.Background(), "tcp", "[fd00:6::2]:7")
			return err
		},
		"DialUDP": func() error {
			_, err := left.DialContext(context.Background(), "udp", "[fd00:6::2]:7")
			return err
		},
		"Listen":       func() error { _, err := left.Listen("tcp", ":8"); return err },
		"ListenPacket": func() error { _, err := left.ListenPacket("udp", ":8"); return err },
	} {
		if err := use(); !errors.Is(err, stack.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if stats := left.Stats(); len(stats.Links) != 1 {
		t.Errorf("statistics of %d links after Close, want 1", len(stats.Links))
	}
}

// A peer learns that the stack closed.
func TestCloseResetsPeers(t *testing.T) {
	left, right := newPair(t, 1500)
	echoTCP(t, right, "tcp", ":7")
	c := dial(t, left, "tcp", "[fd00:6::2]:7")
	roundTrip(t, c, 1)
	right.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Fatalf("read after the peer's stack closed: %v, want a reset", err)
	}
}

// Close calls each link's Close once, after the endpoint was detached, and
// says the same each time.
func TestCloseDevice(t *testing.T) {
	ep := channel.New(1, 1500, "")
	calls := 0
	fault := errors.New("device stuck")
	s, err := stack.New(stack.Config{Links: []stack.LinkConfig{
		{Name: "a", Endpoint: ep, Addresses: []netip.Prefix{left6}, Close: func() error {
			calls++
			return fault
		}},
		{Name: "b", Endpoint: channel.New(1, 1500, ""), Close: func() error { calls++; return nil }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := s.Close(); !errors.Is(err, fault) {
				t.Errorf("Close: %v, want %v", err, fault)
			}
		})
	}
	wg.Wait()
	if calls != 2 {
		t.Errorf("links' Close called %d times, want 2", calls)
	}
	if ep.IsAttached() {
		t.Error("the endpoint is still attached")
	}
}

// A link whose endpoint closes by itself does not disturb the stack.
func TestEndpointClosesItself(t *testing.T) {
	ep := channel.New(1, 1500, "")
	s := newStack(t, stack.Config{Links: []stack.LinkConfig{{Name: "a", Endpoint: ep, Addresses: []netip.Prefix{left6}}}})
	ep.Close()
	s.Stats()
}

// Connections in every state that TCP leaves behind are gone after Close.
func TestCloseLeavesNoConnection(t *testing.T) {
	left, right := newPair(t, 1500)
	l, err := right.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	open := func() (client, server net.Conn) {
		client = dial(t, left, "tcp", "[fd00:6::2]:7")
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return client, server
	}
	shut := func(c net.Conn) { c.(interface{ CloseWrite() error }).CloseWrite() }

	client, server := open() // client in TIME-WAIT
	client.Close()
	io.ReadAll(server)
	server.Close()
	client, _ = open() // half closed
	shut(client)
	_, server = open() // unread data
	server.Write(pattern(100000))
	client, _ = open() // closed at one end only
	client.Close()
	open()                                // established
	dial(t, left, "tcp", "[fd00:6::2]:7") // never accepted
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	left.DialContext(ctx, "tcp", "[fd00:6::dead]:7") // given up
	left.Close()
	right.Close()
	for _, s := range []*stack.Stack{left, right} {
		z, _ := s.Zone("")
		if n := len(z.Netstack().RegisteredEndpoints()) + len(z.Netstack().CleanupEndpoints()); n != 0 {
			t.Errorf("%d endpoints left", n)
		}
	}
}

// Two stacks with traffic between them close in any order, and leave neither
// goroutines nor buffers: TestMain looks for them.
func TestCloseUnderTraffic(t *testing.T) {
	for round := range 24 {
		a, b := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", 1500)
		left, err := stack.New(stack.Config{Links: []stack.LinkConfig{{Name: "wire", Endpoint: a, Addresses: []netip.Prefix{left6}}}})
		if err != nil {
			t.Fatal(err)
		}
		right, err := stack.New(stack.Config{Links: []stack.LinkConfig{{Name: "wire", Endpoint: b, Addresses: []netip.Prefix{right6}}}})
		if err != nil {
			t.Fatal(err)
		}
		traffic := startTraffic(t, left, right)
		switch round % 3 {
		case 0:
			left.Close()
			right.Close()
		case 1:
			right.Close()
			left.Close()
		case 2:
			var wg sync.WaitGroup
			wg.Go(func() { left.Close() })
			wg.Go(func() { right.Close() })
			wg.Wait()
		}
		traffic.Wait()
	}
}

// startTraffic starts TCP and UDP echoes from left to right, waits until the
// first came back, and returns what ends once the stacks are closed.
func startTraffic(t *testing.T, left, right *stack.Stack) *sync.WaitGroup {
	t.Helper()
	l, err := right.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	p, err := right.ListenPacket("udp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { io.Copy(struct{ io.Writer }{c}, c) })
		}
	})
	wg.Go(func() {
		b := make([]byte, 65536)
		for {
			n, from, err := p.ReadFrom(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				p.WriteTo(b[:n], from)
			}
		}
	})
	for _, network := range []string{"tcp", "udp"} {
		for range 2 {
			c, err := left.DialContext(context.Background(), network, "[fd00:6::2]:7")
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, c, 100)
			wg.Go(func() {
				b := pattern(20000)
				for !errors.Is(write(c, b), net.ErrClosed) {
				}
			})
			wg.Go(func() {
				b := make([]byte, 65536)
				for {
					if _, err := c.Read(b); errors.Is(err, net.ErrClosed) {
						return
					}
				}
			})
		}
	}
	return &wg
}

func write(c net.Conn, b []byte) error {
	_, err := c.Write(b)
	return err
}
