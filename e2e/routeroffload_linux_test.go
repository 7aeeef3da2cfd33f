package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/v6stack/v6stack/internal/wire"
)

// mixtures are the kinds of devices on a router's two sides.
var mixtures = []struct{ a, b kind }{
	{offload, offload}, {offload, plain}, {plain, offload}, {queues, queues}, {offload, water}, {water, queues},
}

// eachMixture runs test as a subtest for a router between each mixture of kinds,
// with the MTUs given.
func eachMixture(t *testing.T, mtuA, mtuB int, test func(t *testing.T, r *router, a, b *station)) {
	for _, m := range mixtures {
		t.Run(m.a.name+","+m.b.name, func(t *testing.T) {
			r := startRouter(t, nil, stationConfig{subnet: 0xa, mtu: mtuA, kind: m.a}, stationConfig{subnet: 0xb, mtu: mtuB, kind: m.b})
			test(t, r, r.stations[0], r.stations[1])
		})
	}
}

// A stationListener opens sockets at a station.
type stationListener struct {
	*station
	t *testing.T
}

// Listen implements listener.
func (l stationListener) Listen(network, address string) (listener net.Listener, err error) {
	l.inside(l.t, func() { listener, err = kernelListener{}.Listen(network, address) })
	return listener, err
}

// ListenPacket implements listener.
func (l stationListener) ListenPacket(network, address string) (socket net.PacketConn, err error) {
	l.inside(l.t, func() { socket, err = kernelListener{}.ListenPacket(network, address) })
	return socket, err
}

// connectStations opens a connection from a station to a port of another one.
func connectStations(t *testing.T, a, b *station, port uint16) connection {
	t.Helper()
	var c connection
	a.inside(t, func() { c = connect(t, stationListener{b, t}, netip.AddrPortFrom(b.addr(), port)) })
	c.between = func() {
		a.wire.collect(t)
		b.wire.collect(t)
	}
	return c
}

// TestRouterStreams sends streams between stations, by way of devices that know
// large segments and of such that do not, the MTUs alike or not. What arrives
// are the segments that were sent, in one piece where both sides can; nobody is
// told that a packet was too big.
func TestRouterStreams(t *testing.T) {
	for _, mtus := range pairs {
		t.Run(fmt.Sprintf("mtus=%d,%d", mtus.a, mtus.b), func(t *testing.T) {
			eachMixture(t, mtus.a, mtus.b, func(t *testing.T, r *router, a, b *station) {
				if err := connectStations(t, a, b, 5001).carryAll(1 << 19); err != nil {
					t.Error(err)
				}
				checkPassedWithin(t, a, b, min(mtus.a, mtus.b))
				checkLarge(t, a, b)
				checkLarge(t, b, a)
				r.checkDrops(t, a, nil)
				r.checkDrops(t, b, nil)
			})
		})
	}
}

// checkPassedWithin does as checkPassed, and checks that no packet that arrived
// was longer than mtu, and that none of them was an ICMPv6 error.
func checkPassedWithin(t *testing.T, a, b *station, mtu int) {
	t.Helper()
	a.wire.collect(t)
	b.wire.collect(t)
	for _, packets := range [][][]byte{a.wire.received, b.wire.received} {
		for _, packet := range packets {
			if length := 40 + int(packet[4])<<8 + int(packet[5]); length > mtu {
				t.Errorf("a packet of %d octets on a path of MTU %d", length, mtu)
			}
			if packet[6] == wire.ICMPv6 && len(packet) > 40 && packet[40] < 128 {
				t.Errorf("an ICMPv6 error of type %d: %x", packet[40], packet)
			}
		}
	}
	checkPassed(t, a, b, 0)
}

// checkLarge checks that large segments left a station and came to another one,
// if their devices take any.
func checkLarge(t *testing.T, from, to *station) {
	t.Helper()
	for _, side := range []struct {
		s     *station
		count int
	}{{from, from.wire.largeSent}, {to, to.wire.largeReceived}} {
		if large := side.count > 0; large != side.s.kind.features.TSO6 && (large || from.kind.features.TSO6) {
			t.Errorf("%d large segments from %v to %v at %s: its device has %v",
				side.count, from.addr(), to.addr(), side.s.addr(), side.s.kind.features)
		}
	}
}

// TestRouterCongestion marks packets of a stream as having met congestion, at
// the receiver. The sender is told, and confirms it, through the router.
func TestRouterCongestion(t *testing.T) {
	needTool(t, "nft")
	eachMixture(t, 1500, 1500, func(t *testing.T, _ *router, a, b *station) {
		a.inside(t, func() { allowECN(t) })
		b.inside(t, func() {
			allowECN(t)
			markCongestion(t)
		})
		c := connectStations(t, a, b, 5001)
		if err := c.carry(c.host, c.stack, 1, 1<<20, whole); err != nil {
			t.Error(err)
		}
		if err := c.finish(); err != nil {
			t.Error(err)
		}
		a.wire.collect(t)
		confirmed := 0
		for _, packet := range between(a.wire.sent, a.addr(), b.addr()) {
			const syn = 0x02
			if packet[6] == wire.TCP && packet[53]&(tcpCWR|syn) == tcpCWR {
				confirmed++
			}
		}
		if confirmed == 0 {
			t.Error("the sender has heard of no congestion")
		}
		checkPassed(t, a, b, 0)
	})
}

// markCongestion has the kernel of the calling thread's network namespace mark
// some of the packets that come in.
func markCongestion(t *testing.T) {
	t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(`table ip6 congestion {
	chain incoming {
		type filter hook prerouting priority 0;
		tcp dport 5001 ip6 ecn ect0 numgen inc mod 20 0 ip6 ecn set ce
	}
}`)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v:\n%s", cmd.Args, err, output)
	}
}

// TestRouterLargeDatagrams has a station send datagrams as one large one. They
// arrive one by one at the other.
func TestRouterLargeDatagrams(t *testing.T) {
	eachMixture(t, 1500, 1500, func(t *testing.T, _ *router, a, b *station) {
		var from, to host
		a.inside(t, func() { from = openHostAt(t, netip.AddrPortFrom(a.addr(), 0)) })
		b.inside(t, func() { to = openHostAt(t, netip.AddrPortFrom(b.addr(), 0)) })
		for _, test := range largeDatagrams {
			for _, datagram := range sendLarge(t, from.UDPConn, netip.AddrPortFrom(b.addr(), to.port()), test.size, test.count) {
				to.receive(t, datagram)
			}
		}
	})
}

// TestRouterCorrupted sends damaged packets through a router, with sound ones of
// the same flow behind them. Only those arrive: no device has made the others
// right.
func TestRouterCorrupted(t *testing.T) {
	eachMixture(t, 1500, 1500, func(t *testing.T, _ *router, a, b *station) {
		var socket host
		b.inside(t, func() { socket = openHostAt(t, netip.AddrPortFrom(b.addr(), 0)) })
		h := a.to(b)
		for i, size := range []int{4, 1000, 5000, 60000} {
			bad, good := h.UDP(9, socket.port(), numbered(0, size)), h.UDP(9, socket.port(), numbered(1, size))
			if size <= 1000 {
				a.tap.send(t, corrupted(h.Packet(wire.UDPProtocol, bad), 1), h.Packet(wire.UDPProtocol, good))
			} else {
				fragments := h.Split(uint32(2*i), wire.UDPProtocol, bad, 1448)
				fragments[1] = corrupted(fragments[1], 1)
				a.tap.send(t, append(fragments, h.Split(uint32(2*i+1), wire.UDPProtocol, good, 1448)...)...)
			}
			socket.receive(t, numbered(1, size))
		}
	})
}
