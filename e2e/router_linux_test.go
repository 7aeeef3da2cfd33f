package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// A stationConfig says what is particular about a station.
type stationConfig struct {
	// subnet is the last group of the /64 of the station and the router.
	subnet int
	mtu    int
	zone   string
	kind   kind
}

// A station is a host next to a router: a kernel in a network namespace of its
// own, whose default route leads into a TUN at the router.
//
//	station, 2001:db8:1::1 ─ kernel │ TUN │ 2001:db8:1::ff, router
type station struct {
	stationConfig
	// name is that of the namespace, the TUN and the link.
	name            string
	address, router netip.Prefix
	tap             *tap
	wire            *capture
	settling        bool // there is an echo service for settle
}

// newStation makes a station that goes with the test. It has no TUN yet.
func newStation(t *testing.T, cfg stationConfig) *station {
	t.Helper()
	s := &station{
		stationConfig: cfg,
		name:          deviceName(),
		address:       netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::1/64", cfg.subnet)),
		router:        netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::ff/64", cfg.subnet)),
	}
	newNamespace(t, s.name)
	return s
}

// inside runs do on a thread in the station's namespace.
func (s *station) inside(t *testing.T, do func()) {
	t.Helper()
	inNamespace(t, s.name, do)
}

// open opens the station's TUN, of one queue unless its kind says more: only so
// do packets keep their order from the first one on.
func (s *station) open(t *testing.T) *tun.Device {
	t.Helper()
	k := s.kind
	if k.name == "" {
		k = offload
	}
	device, err := k.open(tun.Config{
		Name:          s.name,
		NetNS:         s.name,
		MTU:           s.mtu,
		HostAddresses: []netip.Prefix{s.address},
		HostRoutes:    []netip.Prefix{netip.PrefixFrom(netip.IPv6Unspecified(), 0)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return device
}

// link returns the router's link to the station, whose TUN is device.
func (s *station) link(device *tun.Device) stack.LinkConfig {
	return stack.LinkConfig{
		Name:      s.name,
		Zone:      s.zone,
		Endpoint:  device.Endpoint(),
		Addresses: []netip.Prefix{s.router},
		Close:     device.Close,
	}
}

// watch starts to listen at the station's TUN, which is open.
func (s *station) watch(t *testing.T) {
	t.Helper()
	s.inside(t, func() {
		s.tap = openTap(t, s.name)
		s.wire = openCapture(t, s.name, s.mtu)
	})
}

// addr returns the station's address.
func (s *station) addr() netip.Addr { return s.address.Addr() }

// to are the headers of packets from the station to another one.
func (s *station) to(other *station) wire.Header {
	return wire.Header{Source: s.addr(), Destination: other.addr()}
}

// A router is a stack of ours between stations.
type router struct {
	*stack.Stack
	config   stack.Config
	stations []*station
}

// startRouter starts a router that ends with the test; change, unless nil, has
// the last word on its configuration.
func startRouter(t *testing.T, change func(*router), configs ...stationConfig) *router {
	t.Helper()
	r := &router{config: stack.Config{Forward: true}}
	for _, cfg := range configs {
		s := newStation(t, cfg)
		r.stations = append(r.stations, s)
		r.config.Links = append(r.config.Links, s.link(s.open(t)))
	}
	if change != nil {
		change(r)
	}
	r.Stack = startStack(t, r.config)
	t.Cleanup(func() { closeStack(t, r.Stack) })
	for _, s := range r.stations {
		s.watch(t)
	}
	return r
}

// startPair starts a router between two stations.
func startPair(t *testing.T, mtuA, mtuB int, change func(*router)) (r *router, a, b *station) {
	t.Helper()
	r = startRouter(t, change, stationConfig{subnet: 0xa, mtu: mtuA}, stationConfig{subnet: 0xb, mtu: mtuB})
	return r, r.stations[0], r.stations[1]
}

// linkStats returns the statistics of the link to a station.
func (r *router) linkStats(t *testing.T, s *station) stack.LinkStats {
	t.Helper()
	for _, l := range r.Stats().Links {
		if l.Name == s.name {
			return l
		}
	}
	t.Fatalf("no link %s", s.name)
	return stack.LinkStats{}
}

// checkDrops checks that of the packets from a station the router dropped
// those, by reason, and no others. It waits for those that are still on their
// way.
func (r *router) checkDrops(t *testing.T, s *station, want map[stack.DropReason]uint64) {
	t.Helper()
	for reason, count := range want {
		for end := deadline(); r.linkStats(t, s).Drops[reason] < count && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
	for reason, got := range r.linkStats(t, s).Drops {
		if reason := stack.DropReason(reason); got != want[reason] {
			t.Errorf("packets from %v dropped as %v: %d, want %d", s.addr(), reason, got, want[reason])
		}
	}
}

// serve serves TCP and UDP echo at the station, until the test ends.
func (s *station) serve(t *testing.T, port uint16) netip.AddrPort {
	t.Helper()
	s.inside(t, func() { serveEchoAt(t, kernelListener{}, netip.AddrPortFrom(s.addr(), port)) })
	return netip.AddrPortFrom(s.addr(), port)
}

// kernelListener opens sockets in the calling thread's network namespace.
type kernelListener struct{}

// Listen implements listener.
func (kernelListener) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}

// ListenPacket implements listener.
func (kernelListener) ListenPacket(network, address string) (net.PacketConn, error) {
	socket, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	raw, err := socket.(*net.UDPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	return socket, raw.Control(func(fd uintptr) { growBuffer(int(fd)) })
}

// dial opens a UDP socket of the station's, connected to an address.
func (s *station) dial(t *testing.T, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	var socket *net.UDPConn
	s.inside(t, func() {
		var err error
		if socket, err = net.DialUDP("udp6", nil, net.UDPAddrFromAddrPort(to)); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { socket.Close() })
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { growBuffer(int(fd)) })
	return socket
}

// exchange sends payload by a connected socket and waits for its echo. Nothing
// on the way may lose it.
func exchange(socket *net.UDPConn, payload []byte) error {
	if _, err := socket.Write(payload); err != nil {
		return err
	}
	socket.SetReadDeadline(deadline())
	buffer := make([]byte, 1<<16)
	n, err := socket.Read(buffer)
	if err != nil {
		return fmt.Errorf("echo of %d octets: %w", len(payload), err)
	}
	return same(buffer[:n], payload)
}

// receive checks that the next datagram is payload, whoever it is from.
func (h host) receive(t *testing.T, payload []byte) {
	t.Helper()
	h.SetReadDeadline(deadline())
	buffer := make([]byte, 1<<16)
	n, _, err := h.ReadFromUDPAddrPort(buffer)
	if err != nil {
		t.Fatalf("receive %d octets: %v", len(payload), err)
	}
	checkSame(t, "datagram", buffer[:n], payload)
}

// settle waits until all that one station has sent to another one has arrived,
// and whatever that one's kernel answers has come back: links keep the order.
func settle(t *testing.T, from, to *station) {
	t.Helper()
	const port = 4
	if !to.settling {
		to.settling = true
		to.serve(t, port)
	}
	if err := exchange(from.dial(t, netip.AddrPortFrom(to.addr(), port)), []byte("settle")); err != nil {
		t.Fatal(err)
	}
}

// pingAcross has a station ping another one. Requests that ping did not await
// the replies to are over, too.
func pingAcross(t *testing.T, from, to *station, count, size int) {
	t.Helper()
	from.inside(t, func() { pingAt(t, to.addr(), count, size, "-A") })
	settle(t, from, to)
}
