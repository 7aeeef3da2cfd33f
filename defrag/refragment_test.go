package defrag_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// A geometry is one way to fragment a datagram.
type geometry struct {
	header  wire.Header
	id      uint32
	next    uint8
	bits    [2]byte // of the Fragment header, reserved
	payload []byte
	ends    []int // of the fragments, in octets
}

// fragments returns the packets, in order.
func (g *geometry) fragments() [][]byte {
	var packets [][]byte
	start := 0
	for _, end := range g.ends {
		f := wire.Fragment{ID: g.id, Next: g.next, Offset: start, More: end < len(g.payload)}
		packet := g.header.Fragment(f, g.payload[start:end])
		at := len(packet) - (end - start) - 8
		packet[at+1] = g.bits[0]
		packet[at+3] |= g.bits[1] & 6
		packets = append(packets, packet)
		start = end
	}
	return packets
}

// chains are the headers that a random packet may have before the Fragment
// header; Linux's walk knows them, too.
var chains = []wire.Extensions{
	{},
	wire.Extensions{}.With(wire.HopByHop, wire.Options(1)),
	wire.Extensions{}.With(wire.DestinationOptions, wire.Options(3)),
	wire.Extensions{}.With(wire.HopByHop, wire.Options(2)).With(wire.Routing, make([]byte, 8)),
	wire.Extensions{}.With(wire.HopByHop, wire.Options(30)).With(wire.DestinationOptions, wire.Options(1)),
}

// randomGeometry returns any geometry that the engine accepts.
func randomGeometry(random *rand.Rand) *geometry {
	g := &geometry{header: peers, id: random.Uint32(), next: wire.UDPProtocol}
	g.header.TrafficClass = uint8(random.Uint32()) &^ 3 // ECN is merged.
	g.header.FlowLabel = random.Uint32() & 0xfffff
	g.header.HopLimit = uint8(1 + random.IntN(255))
	g.header.Extensions = chains[random.IntN(len(chains))]
	binary.BigEndian.PutUint16(g.bits[:], uint16(random.Uint32()))
	largest := []int{8, 16, 64, 1232, 9000}[random.IntN(5)]
	room := min(65535-8*40, 1200*largest)
	length := []int{9 + random.IntN(100), 9 + random.IntN(3000), 9 + random.IntN(room-9)}[random.IntN(3)]
	message := wire.Payload(length)
	chain := 8
	if random.IntN(3) == 0 {
		g.next, chain = wire.DestinationOptions, 16
		message = append(append([]byte{wire.UDPProtocol, 0, 1, 4}, make([]byte, 4)...), message...)
	}
	g.payload = message
	for end := 0; end < len(message); {
		size := largest
		if random.IntN(2) == 0 {
			size = 8 + random.IntN(largest/8)*8
		}
		if end == 0 {
			size = max(size, chain)
		}
		end += size
		if len(g.ends) == 0 {
			end = min(end, (len(message)-1)&^7) // There are two at least.
			end = max(end, chain)
		}
		g.ends = append(g.ends, min(end, len(message)))
	}
	return g
}

// cutUp returns packet in views of random sizes.
func cutUp(random *rand.Rand, packet []byte) buffer.Buffer {
	var b buffer.Buffer
	for len(packet) > 0 {
		n := len(packet)
		if random.IntN(2) == 0 {
			n = 1 + random.IntN(n)
		}
		part := buffer.MakeWithData(packet[:n])
		b.Merge(&part)
		packet = packet[n:]
	}
	return b
}

// gatherAll feeds the packets to e; it returns the datagram and its
// description.
func gatherAll(t *testing.T, e *defrag.Engine, random *rand.Rand, packets [][]byte) (whole buffer.Buffer, d defrag.Datagram) {
	t.Helper()
	for i, packet := range packets {
		b := cutUp(random, packet)
		want := defrag.Held
		if i == len(packets)-1 {
			want = defrag.Reassembled
		}
		if got := e.Gather(&b, &defrag.Metadata{}, &d); got != want {
			t.Fatalf("fragment %d of %d: %v, want %v\n%.99x", i, len(packets), got, want, packet)
		}
		whole = b
	}
	return whole, d
}

// refragmented returns what Refragment makes of a datagram.
func refragmented(t *testing.T, whole *buffer.Buffer, d *defrag.Datagram) [][]byte {
	t.Helper()
	var packets [][]byte
	if err := defrag.Refragment(whole, d, func(fragment buffer.Buffer) {
		packets = append(packets, fragment.Flatten())
		fragment.Release()
	}); err != nil {
		t.Fatal(err)
	}
	if whole.Size() != 0 {
		t.Error("the datagram is not taken over")
	}
	return packets
}

// R42, R44: fragments that are gathered and split again are what they were, in
// any geometry, order and form.
func TestRefragmentIsIdentity(t *testing.T) {
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		random := rand.New(rand.NewPCG(1, uint64(policy)))
		e, err := defrag.New(defrag.Config{Zone: defrag.ZoneConfig{Policy: policy, High: 64 << 20}})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		tiny := 0
		for range 150 {
			g := randomGeometry(random)
			want := g.fragments()
			if len(want) > 1000 {
				tiny++
			}
			shuffled := slices.Clone(want)
			if random.IntN(4) > 0 {
				random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			}
			whole, d := gatherAll(t, e, random, shuffled)
			got := refragmented(t, &whole, &d)
			if len(got) != len(want) {
				t.Fatalf("%d fragments, want %d", len(got), len(want))
			}
			for i := range want {
				if !bytes.Equal(got[i], want[i]) {
					t.Fatalf("fragment %d of %d:\n%.200x\nwant\n%.200x", i, len(want), got[i], want[i])
				}
			}
		}
		if tiny == 0 {
			t.Error("no datagram of more than 1,000 fragments was tried")
		}
	})
}

// R42: where the length has changed, every fragment but the last is as large
// as the largest was; they make the new datagram.
func TestRefragmentChangedLength(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	e, err := defrag.New(defrag.Config{Zone: defrag.ZoneConfig{High: 64 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for range 100 {
		g := randomGeometry(random)
		for slices.Max(sizesOf(g.fragments())) < 200 || len(g.payload) > 60000 {
			g = randomGeometry(random)
		}
		whole, d := gatherAll(t, e, random, g.fragments())
		largest := slices.Max(sizesOf(g.fragments()))
		if d.LargestPacket != largest {
			t.Fatalf("largest packet %d, want %d", d.LargestPacket, largest)
		}
		payload := append(slices.Clone(g.payload), wire.Payload(1+random.IntN(2000))...)
		if random.IntN(2) == 0 {
			payload = payload[:1+random.IntN(len(g.payload)-1)]
		}
		whole.Truncate(int64(d.UnfragmentableLength))
		tail := buffer.MakeWithData(payload)
		whole.Merge(&tail)
		var got []byte
		packets := refragmented(t, &whole, &d)
		for i, packet := range packets {
			f, octets := parseFragment(t, packet, d.UnfragmentableLength)
			if f.ID != g.id || f.Next != g.next || f.Offset != len(got) || f.More != (i < len(packets)-1) {
				t.Fatalf("fragment %d of %d: %+v at %d", i, len(packets), f, len(got))
			}
			if len(packet) > largest || f.More && len(packet)+8 <= largest {
				t.Errorf("fragment %d of %d has %d octets, largest was %d", i, len(packets), len(packet), largest)
			}
			got = append(got, octets...)
		}
		if !bytes.Equal(got, payload) {
			t.Fatalf("%d octets of payload, want %d", len(got), len(payload))
		}
	}
}

func sizesOf(packets [][]byte) (sizes []int) {
	for _, packet := range packets {
		sizes = append(sizes, len(packet))
	}
	return sizes
}

// parseFragment reads the Fragment header at position at of a packet, whose
// Payload Length must be right.
func parseFragment(t *testing.T, packet []byte, at int) (f wire.Fragment, payload []byte) {
	t.Helper()
	if got := int(binary.BigEndian.Uint16(packet[4:])); got != len(packet)-40 {
		t.Fatalf("Payload Length %d in a packet of %d octets", got, len(packet))
	}
	field := binary.BigEndian.Uint16(packet[at+2:])
	return wire.Fragment{
		ID:     binary.BigEndian.Uint32(packet[at+4:]),
		Next:   packet[at],
		Offset: int(field &^ 7),
		More:   field&1 != 0,
	}, packet[at+8:]
}

// R44: an atomic fragment goes out as no fragment.
func TestRefragmentAtomic(t *testing.T) {
	e, err := defrag.New(defrag.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	message := wire.Payload(100)
	b := buffer.MakeWithData(peers.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol}, message))
	var d defrag.Datagram
	if v := e.Gather(&b, &defrag.Metadata{}, &d); v != defrag.Atomic {
		t.Fatal(v)
	}
	got := refragmented(t, &b, &d)
	if want := peers.Packet(wire.UDPProtocol, message); len(got) != 1 || !bytes.Equal(got[0], want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// Descriptions that do not fit the packet are refused, and nothing is emitted.
func TestRefragmentErrors(t *testing.T) {
	packet := peers.Packet(wire.UDPProtocol, wire.Payload(100))
	options := peers
	options.Extensions = chains[1]
	extended := options.Packet(wire.UDPProtocol, wire.Payload(100))
	two := []uint16{0, 2}
	for _, test := range []struct {
		name     string
		packet   []byte
		datagram defrag.Datagram
		words    []string
	}{
		{"zero", packet, defrag.Datagram{}, []string{"0 octets of headers", "0 boundaries"}},
		{"no payload", packet[:40], defrag.Datagram{UnfragmentableLength: 40, Boundaries: two}, []string{"0 of payload"}},
		{"empty", nil, defrag.Datagram{UnfragmentableLength: 40, Boundaries: two}, []string{"of payload"}},
		{"no boundaries", packet, defrag.Datagram{UnfragmentableLength: 40, Length: 100}, []string{"0 boundaries"}},
		{"chain ends elsewhere", extended, defrag.Datagram{UnfragmentableLength: 44, Length: 104, Boundaries: two}, []string{"chain", "44"}},
		{"chain ends before", packet, defrag.Datagram{UnfragmentableLength: 48, Length: 92, Boundaries: two}, []string{"chain", "48"}},
		{"nothing fits", packet, defrag.Datagram{UnfragmentableLength: 40, Length: 99, LargestPacket: 55, Boundaries: two}, []string{"55", "48"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := buffer.MakeWithData(test.packet)
			err := defrag.Refragment(&b, &test.datagram, func(buffer.Buffer) { t.Error("emitted") })
			wantWords(t, err, test.words)
			if b.Size() != 0 {
				t.Error("the packet is not taken over")
			}
		})
	}
}

// R47: a packet, whole or a fragment, is split for a path.
func TestSplit(t *testing.T) {
	message := wire.Payload(3000)
	routed := peers
	routed.Extensions = chains[3]
	optional := peers
	optional.Extensions = chains[2]
	for _, test := range []struct {
		name           string
		packet         []byte
		unfragmentable int
		id             uint32
		next           uint8
		offset         int
		more           bool
		payload        []byte
	}{
		{"whole", peers.Packet(wire.UDPProtocol, message), 40, 99, wire.UDPProtocol, 0, false, message},
		{"Routing", routed.Packet(wire.UDPProtocol, message), 64, 99, wire.UDPProtocol, 0, false, message},
		{"Destination Options", optional.Packet(wire.UDPProtocol, message), 40, 99, wire.DestinationOptions, 0, false,
			optional.Packet(wire.UDPProtocol, message)[40:]},
		{"first fragment", peers.Fragment(wire.Fragment{ID: 7, Next: wire.UDPProtocol, More: true}, message), 40, 7, wire.UDPProtocol, 0, true, message},
		{"middle fragment", routed.Fragment(wire.Fragment{ID: 7, Next: wire.UDPProtocol, Offset: 4000, More: true}, message), 64, 7, wire.UDPProtocol, 4000, true, message},
		{"last fragment", peers.Fragment(wire.Fragment{ID: 7, Next: wire.UDPProtocol, Offset: 4000}, message[:2999]), 40, 7, wire.UDPProtocol, 4000, false, message[:2999]},
		{"fragment behind options", optional.Fragment(wire.Fragment{ID: 7, Next: wire.UDPProtocol, Offset: 4000}, message), 64, 7, wire.UDPProtocol, 4000, false, message},
	} {
		for _, size := range []int{1280, 1287, 1500, 80} {
			t.Run(fmt.Sprint(test.name, size), func(t *testing.T) {
				var packets [][]byte
				b := buffer.MakeWithData(test.packet)
				if err := defrag.Split(&b, size, 99, func(fragment buffer.Buffer) {
					packets = append(packets, fragment.Flatten())
					fragment.Release()
				}); err != nil {
					t.Fatal(err)
				}
				var got []byte
				for i, packet := range packets {
					f, octets := parseFragment(t, packet, test.unfragmentable)
					last := i == len(packets)-1
					if f.ID != test.id || f.Next != test.next || f.Offset != test.offset+len(got) || f.More != (!last || test.more) {
						t.Errorf("fragment %d of %d: %+v", i, len(packets), f)
					}
					if len(packet) > size || !last && len(packet)+8 <= size {
						t.Errorf("fragment %d of %d has %d octets, want at most %d", i, len(packets), len(packet), size)
					}
					got = append(got, octets...)
				}
				if !bytes.Equal(got, test.payload) {
					t.Errorf("%d octets of payload, want %d", len(got), len(test.payload))
				}
			})
		}
	}
}

// What cannot be split is refused, and nothing is emitted.
func TestSplitErrors(t *testing.T) {
	options := peers
	options.Extensions = chains[1]
	for name, packet := range map[string][]byte{
		"empty":          nil,
		"cut off":        peers.Packet(wire.UDPProtocol, nil)[:39],
		"no payload":     peers.Packet(wire.UDPProtocol, nil),
		"cut extension":  options.Packet(wire.UDPProtocol, nil)[:41],
		"empty fragment": peers.Fragment(wire.Fragment{ID: 7, More: true}, nil),
		"cut fragment":   peers.Fragment(wire.Fragment{ID: 7, More: true}, nil)[:44],
		"does not fit":   peers.Packet(wire.UDPProtocol, wire.Payload(100)),
	} {
		t.Run(name, func(t *testing.T) {
			b := buffer.MakeWithData(packet)
			if err := defrag.Split(&b, 55, 1, func(buffer.Buffer) { t.Error("emitted") }); err == nil {
				t.Error("accepted")
			}
			if b.Size() != 0 {
				t.Error("the packet is not taken over")
			}
		})
	}
}
