package e2e

import (
	"fmt"
	"net/netip"
	"testing"

	ournetns "github.com/v6stack/v6stack/internal/netns"
	"github.com/v6stack/v6stack/internal/wire"
)

// pairs are the MTUs on a router's two sides.
var pairs = []struct{ a, b int }{{1500, 1500}, {9000, 1500}, {1500, 1280}}

// eachPair runs test as a subtest for a router between each pair of MTUs, with
// devices as they are by default and with plain ones. Both stations know the
// path's MTU.
func eachPair(t *testing.T, test func(t *testing.T, a, b *station)) {
	for _, k := range []kind{{name: "default"}, plain} {
		t.Run(k.name, func(t *testing.T) { eachPairOf(t, k, test) })
	}
}

// eachPairOf does so with devices of one kind.
func eachPairOf(t *testing.T, k kind, test func(t *testing.T, a, b *station)) {
	for _, mtus := range pairs {
		t.Run(fmt.Sprintf("mtus=%d,%d", mtus.a, mtus.b), func(t *testing.T) {
			r := startRouter(t, nil, stationConfig{subnet: 0xa, mtu: mtus.a, kind: k}, stationConfig{subnet: 0xb, mtu: mtus.b, kind: k})
			a, b := r.stations[0], r.stations[1]
			learnPath(t, a, b)
			before := r.linkStats(t, a).Drops
			test(t, a, b)
			if after := r.linkStats(t, a).Drops; after != before {
				t.Errorf("packets dropped by reason: %v, want %v", after, before)
			}
			r.checkDrops(t, b, nil)
		})
	}
}

// learnPath has station a learn the MTU of the path to b, and forgets what was
// captured meanwhile.
func learnPath(t *testing.T, a, b *station) {
	t.Helper()
	if a.mtu > b.mtu {
		if _, err := a.dial(t, netip.AddrPortFrom(b.addr(), 9)).Write(make([]byte, a.mtu-48)); err != nil {
			t.Fatal(err)
		}
		awaitPathMTU(t, a, b, b.mtu)
	}
	a.wire.drain(t)
	b.wire.drain(t)
}

// TestRouterPing has the two stations ping each other.
func TestRouterPing(t *testing.T) {
	needTool(t, "ping")
	eachPair(t, func(t *testing.T, a, b *station) {
		for _, size := range []int{56, 1400, 8000, 65000} {
			for _, way := range [][2]*station{{a, b}, {b, a}} {
				pingAcross(t, way[0], way[1], 3, size)
				a.wire.collect(t)
				b.wire.collect(t)
			}
		}
		checkPassed(t, a, b, 2*3*(6+45))
	})
}

// TestRouterUDP sends datagrams of every size around those where a packet or
// a fragment is full, in both directions.
func TestRouterUDP(t *testing.T) {
	eachPair(t, func(t *testing.T, a, b *station) {
		sizes := boundaries(min(a.mtu, b.mtu))
		for _, way := range [][2]*station{{a, b}, {b, a}} {
			socket := way[0].dial(t, way[1].serve(t, echoPort))
			for _, size := range sizes {
				if err := exchange(socket, wire.Payload(size)); err != nil {
					t.Fatalf("from %v: %v", way[0].addr(), err)
				}
				a.wire.collect(t)
				b.wire.collect(t)
			}
		}
		checkPassed(t, a, b, 2*2*len(sizes))
	})
}

// boundaries returns the payloads near those that fill a whole packet, one to
// four fragments, and the largest datagram there is.
func boundaries(mtu int) []int {
	const largest, around = 65535 - 8, 9
	inFragment := (mtu - 48) &^ 7
	sizes := []int{0, 1}
	for _, full := range []int{mtu - 48, inFragment - 8, 2*inFragment - 8, 3*inFragment - 8, 4*inFragment - 8, 20000, largest} {
		for size := full - around; size <= min(full+around, largest); size++ {
			sizes = append(sizes, size)
		}
	}
	return sizes
}

// TestRouterTCP sends half a megabyte in each direction and reads it back.
func TestRouterTCP(t *testing.T) {
	eachPair(t, func(t *testing.T, a, b *station) {
		for _, way := range [][2]*station{{b, a}, {a, b}} {
			service := way[1].serve(t, echoPort)
			err := ournetns.Do(way[0].name, func() error { return echoStreamAt(within(t), service, 1<<19) })
			if err != nil {
				t.Errorf("from %v: %v", way[0].addr(), err)
			}
		}
		checkPassed(t, a, b, 0)
	})
}

// geometries are datagrams cut up as no kernel would.
var geometries = []struct {
	name         string
	size, length int
	reversed     bool
}{
	{"pieces of 8 octets", 8, 1000, false},
	{"pieces of 56 octets, the last first", 56, 3000, true},
	{"pieces of 1232 octets", 1232, 5000, false},
	{"half a packet each", 640, 65000, true},
	{"one octet in the last", 1024, 2048 - 8 + 1, false},
}

// TestRouterGeometry sends fragments past the stations' kernels, with their
// own sizes, identification and reserved bits. They arrive as they were sent,
// in the datagram's order.
func TestRouterGeometry(t *testing.T) {
	_, a, b := startPair(t, 1500, 1280, nil)
	var socket host
	b.inside(t, func() { socket = openHostAt(t, netip.AddrPortFrom(b.addr(), 0)) })
	headers := a.to(b)
	headers.TrafficClass, headers.FlowLabel, headers.HopLimit = 0xb8, 0xabcde, 9
	for i, test := range geometries {
		t.Run(test.name, func(t *testing.T) {
			payload := numbered(uint32(i), test.length)
			datagram := headers.UDP(9, socket.port(), payload)
			fragments := headers.Split(uint32(0xfffffff0+i), wire.UDPProtocol, datagram, test.size)
			for at := range fragments {
				setReserved(fragments[at])
				if test.reversed {
					a.tap.send(t, fragments[len(fragments)-1-at])
				} else {
					a.tap.send(t, fragments[at])
				}
			}
			socket.receive(t, payload)
			_, received := b.wire.drain(t)
			checkSamePackets(t, a, b, fragments, between(received, a.addr(), b.addr()))
		})
	}
}

// setReserved sets reserved bits of a fragment's Fragment header.
func setReserved(fragment []byte) {
	fragment[41] = 0xa5
	fragment[43] |= 0b100
}
