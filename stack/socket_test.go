package stack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"

	"github.com/v6stack/v6stack/stack"
)

func TestTCPEcho(t *testing.T) {
	for _, test := range []struct{ network, listen, dial string }{
		{"tcp", ":7", "[fd00:6::2]:7"},
		{"tcp", ":7", "192.0.2.2:7"},
		{"tcp", "[::]:7", "[fd00:6::2%wire]:7"},
		{"tcp6", "[fd00:6::2]:7", "[fd00:6::2]:7"},
		{"tcp6", ":7", "[fd00:6::2]:7"},
		{"tcp4", "192.0.2.2:7", "192.0.2.2:7"},
		{"tcp4", ":7", "192.0.2.2:7"},
		{"tcp", ":7", "[::ffff:192.0.2.2]:7"},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			left, right := newPair(t, 1500)
			echoTCP(t, right, test.network, test.listen)
			c := dial(t, left, test.network, test.dial)
			want := pattern(256 << 10)
			go func() {
				c.Write(want)
				c.(interface{ CloseWrite() error }).CloseWrite()
			}()
			got, err := io.ReadAll(c)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("echo: %d octets of %d, equal %v, error %v", len(got), len(want), bytes.Equal(got, want), err)
			}
		})
	}
}

func TestUDPEchoOfAnySize(t *testing.T) {
	for _, test := range []struct {
		network, listen, dial string
		sizes                 []int
	}{
		{"udp", ":7", "[fd00:6::2]:7", []int{0, 1, 1452, 1453, 8000, 65000, 65526, 65527}},
		{"udp6", "[fd00:6::2]:7", "[fd00:6::2%wire]:7", []int{1, 65527}},
		{"udp", ":7", "192.0.2.2:7", []int{0, 1, 1472, 1473, 65507}},
		{"udp4", ":7", "192.0.2.2:7", []int{1, 65507}},
	} {
		for _, mtu := range []uint32{1280, 1500, 9000} {
			t.Run(fmt.Sprint(test.network, test.listen, test.dial, mtu), func(t *testing.T) {
				left, right := newPair(t, mtu)
				echoUDP(t, right, test.network, test.listen)
				c := dial(t, left, test.network, test.dial)
				for _, size := range test.sizes {
					roundTrip(t, c, size)
				}
			})
		}
	}
}

// roundTrip sends size octets and expects them back.
func roundTrip(t *testing.T, c net.Conn, size int) {
	t.Helper()
	want := pattern(size)
	if n, err := c.Write(want); n != size || err != nil {
		t.Fatalf("write %d octets: %d, %v", size, n, err)
	}
	got := make([]byte, 65536)
	n, err := c.Read(got)
	if err != nil || !bytes.Equal(got[:n], want) {
		t.Fatalf("echo of %d octets: %d octets, equal %v, error %v", size, n, bytes.Equal(got[:n], want), err)
	}
}

// Several datagrams of the largest size wait in a socket that nobody reads.
func TestUDPReceiveBuffer(t *testing.T) {
	left, right := newPair(t, 1500)
	p, err := right.ListenPacket("udp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c := dial(t, left, "udp", "[fd00:6::2]:7")
	const count = 30
	for i := range count {
		b := pattern(65527)
		b[0] = byte(i)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	p.SetDeadline(time.Now().Add(patience))
	b := make([]byte, 65536)
	for i := range count {
		n, _, err := p.ReadFrom(b)
		if err != nil || n != 65527 || b[0] != byte(i) {
			t.Fatalf("datagram %d: %d octets, first %d, error %v", i, n, b[0], err)
		}
	}
}

func TestUDPTooLong(t *testing.T) {
	left, _ := newPair(t, 1500)
	c := dial(t, left, "udp", "[fd00:6::2]:7")
	if _, err := c.Write(make([]byte, 65528)); err == nil {
		t.Fatal("65,528 octets were sent")
	}
}

// A zone's own addresses are reached without any link.
func TestDialOwnAddress(t *testing.T) {
	left, _ := newPair(t, 1500)
	echoTCP(t, left, "tcp", ":7")
	echoUDP(t, left, "udp", ":7")
	for _, network := range []string{"tcp", "udp"} {
		roundTrip(t, dial(t, left, network, "[fd00:6::1]:7"), 1000)
	}
}

// ReadFrom's address is one that WriteTo takes, for both families of a socket.
func TestWriteTo(t *testing.T) {
	left, right := newPair(t, 1500)
	echoUDP(t, right, "udp", ":7")
	p, err := left.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.SetDeadline(time.Now().Add(patience))
	for _, to := range []net.Addr{
		&net.UDPAddr{IP: net.ParseIP("fd00:6::2"), Port: 7},
		&net.UDPAddr{IP: net.ParseIP("fd00:6::2"), Port: 7, Zone: "wire"},
		&net.UDPAddr{IP: net.ParseIP("192.0.2.2"), Port: 7},     // sixteen octets
		&net.UDPAddr{IP: net.IPv4(192, 0, 2, 2).To4(), Port: 7}, // four
		net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.2:7")),
		stringAddr("[fd00:6::2]:7"),
	} {
		if _, err := p.WriteTo([]byte("hello"), to); err != nil {
			t.Fatalf("to %v: %v", to, err)
		}
		b := make([]byte, 16)
		n, from, err := p.ReadFrom(b)
		if err != nil || string(b[:n]) != "hello" {
			t.Fatalf("from %v: %q, %v", to, b[:n], err)
		}
		if from.(*net.UDPAddr).Port != 7 {
			t.Errorf("reply came from %v, want port 7", from)
		}
	}
	for _, to := range []net.Addr{nil, stringAddr("nonsense"), &net.UDPAddr{IP: net.ParseIP("fe80::1"), Port: 7, Zone: "nolink"}} {
		if _, err := p.WriteTo([]byte("hello"), to); err == nil {
			t.Errorf("a datagram to %v was sent", to)
		}
	}
}

// A stringAddr is an address of a type that the stack does not know.
type stringAddr string

func (stringAddr) Network() string  { return "udp" }
func (a stringAddr) String() string { return string(a) }

func TestBadAddresses(t *testing.T) {
	_, right := newPair(t, 1500)
	listen := func(network, address string) error {
		_, err := right.Listen(network, address)
		return err
	}
	listenPacket := func(network, address string) error {
		_, err := right.ListenPacket(network, address)
		return err
	}
	dial := func(network, address string) error {
		_, err := right.DialContext(context.Background(), network, address)
		return err
	}
	for _, test := range []struct {
		open             func(network, address string) error
		network, address string
		want             string
	}{
		{dial, "tcp5", "[fd00:6::1]:7", "unknown network tcp5"},
		{dial, "tcp46", "[fd00:6::1]:7", "unknown network tcp46"},
		{dial, "unix", "/x", "unknown network unix"},
		{dial, "tcp", ":7", "no host"},
		{dial, "udp", "[::]:7", "no host"},
		{dial, "tcp", "example.com:7", "not an IP address"},
		{dial, "tcp", "[fd00:6::1]", "missing port"},
		{dial, "tcp", "[fd00:6::1]:http", "port is not a number"},
		{dial, "tcp", "[fd00:6::1]:65536", "port is not a number"},
		{dial, "tcp4", "[fd00:6::1]:7", "not of family tcp4"},
		{dial, "udp6", "192.0.2.1:7", "not of family udp6"},
		{dial, "udp", "[fe80::1%nolink]:7", `no link "nolink"`},
		{dial, "udp", "[2001:db8::1]:7", "unreachable"},
		{dial, "tcp", "[2001:db8::1]:7", "unreachable"},
		{listen, "udp", ":7", "unknown network udp"},
		{listen, "tcp", "[fd00:6::1]:7", "bad local address"},
		{listenPacket, "tcp", ":7", "unknown network tcp"},
		{listenPacket, "udp", "[fd00:6::1]:7", "bad local address"},
		{listenPacket, "udp", "nonsense", "missing port"},
	} {
		if err := test.open(test.network, test.address); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: error %v, want one with %q", test.network, test.address, err, test.want)
		}
	}
}

func TestPortInUse(t *testing.T) {
	left, _ := newPair(t, 1500)
	echoTCP(t, left, "tcp", ":7")
	if l, err := left.Listen("tcp", ":7"); err == nil {
		l.Close()
		t.Fatal("port 7 was listened at twice")
	}
}

func TestRefusedConnection(t *testing.T) {
	left, _ := newPair(t, 1500)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := left.DialContext(ctx, "tcp", "[fd00:6::2]:7"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("error %v, want a refusal", err)
	}
}

// Sockets that are closed say net.ErrClosed, as Go's own do.
func TestClosedSockets(t *testing.T) {
	left, right := newPair(t, 1500)
	l := echoTCP(t, right, "tcp", ":7")
	c := dial(t, left, "tcp", "[fd00:6::2]:7")
	p := echoUDP(t, left, "udp", ":7")
	b := make([]byte, 1)
	c.Close()
	p.Close()
	l.Close()
	for name, use := range map[string]func() error{
		"Read":       func() error { _, err := c.Read(b); return err },
		"Write":      func() error { _, err := c.Write(b); return err },
		"CloseWrite": func() error { return c.(interface{ CloseWrite() error }).CloseWrite() },
		"Close":      func() error { return c.Close() },
		"ReadFrom":   func() error { _, _, err := p.ReadFrom(b); return err },
		"WriteTo":    func() error { _, err := p.WriteTo(b, stringAddr("[fd00:6::2]:7")); return err },
		"CloseUDP":   func() error { return p.Close() },
		"Accept":     func() error { _, err := l.Accept(); return err },
		"CloseL":     func() error { return l.Close() },
	} {
		if err := use(); !errors.Is(err, net.ErrClosed) || errors.Is(err, stack.ErrClosed) {
			t.Errorf("%s on a closed socket: %v, want net.ErrClosed", name, err)
		}
	}
}

// A dial ends with its context.
func TestDialContext(t *testing.T) {
	a, _ := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", 1500) // nobody there
	s := newStack(t, stack.Config{Links: []stack.LinkConfig{
		{Name: "wire", Endpoint: a, Addresses: []netip.Prefix{left6}},
	}})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, network := range []string{"tcp", "udp"} {
		if _, err := s.DialContext(ctx, network, "[fd00:6::2]:7"); !errors.Is(err, context.Canceled) {
			t.Errorf("dial %s: %v, want context.Canceled", network, err)
		}
	}
	ctx, cancel = context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := s.DialContext(ctx, "tcp", "[fd00:6::2]:7"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dial: %v, want context.DeadlineExceeded", err)
	}
}
