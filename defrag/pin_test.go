package defrag_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// pinned returns the memory that b pins: each chunk once, with its header and
// that of each view, as the allocator rounds them.
func pinned(b *buffer.Buffer) (octets int) {
	chunks := make(map[uintptr]bool)
	b.Apply(func(v *buffer.View) {
		octets += 48
		// Views may share a chunk, which no method tells.
		chunk := reflect.ValueOf(v).Elem().FieldByName("chunk").Pointer()
		if !chunks[chunk] {
			chunks[chunk] = true
			octets += 32 + v.Capacity()
		}
	})
	return octets
}

// chunked returns packet in one view of a chunk of that capacity at least,
// the headers in a view of their own where apart says so.
func chunked(packet []byte, capacity int, apart bool) buffer.Buffer {
	var b buffer.Buffer
	if apart {
		b = buffer.MakeWithData(packet[:48])
		packet = packet[48:]
	}
	v := buffer.NewView(max(capacity, len(packet)))
	v.Write(packet)
	part := buffer.MakeWithView(v)
	b.Merge(&part)
	return b
}

// R25: a delivered datagram pins at most four times its length and a constant,
// whatever the fragments came in.
func TestDeliverPinsLittle(t *testing.T) {
	const factor, constant = 4, 4096 + 256
	random := rand.New(rand.NewPCG(25, 0))
	fixed := func(n int) func() int { return func() int { return n } }
	among := func(n ...int) func() int { return func() int { return n[random.IntN(len(n))] } }
	alternating := func(n ...int) func() int {
		i := 0
		return func() int { i++; return n[i%len(n)] }
	}
	for _, g := range []struct {
		name     string
		size     func() int // of a fragment's payload
		capacity func() int // of its chunk
		apart    bool
	}{
		{"8 octets in 64", fixed(8), fixed(64), false},
		{"8 octets in 64, headers apart", fixed(8), fixed(64), true},
		{"8 octets in 2 KiB", fixed(8), fixed(2048), false},
		{"8 octets in 64 KiB", fixed(8), fixed(65536), false},
		{"16 octets in 64, headers apart", fixed(16), fixed(64), true},
		{"24 octets in 64, headers apart", fixed(24), fixed(64), true},
		{"32 octets in 64, headers apart", fixed(32), fixed(64), true},
		{"40 octets in 64, headers apart", fixed(40), fixed(64), true},
		{"40 octets in 128", fixed(40), fixed(128), false},
		{"56 octets in 128", fixed(56), fixed(128), false},
		{"1,232 octets in 2 KiB", fixed(1232), fixed(2048), false},
		{"1,232 octets in 64 KiB", fixed(1232), fixed(65536), false},
		{"16,000 octets in 64 KiB", fixed(16000), fixed(65536), false},
		{"8 and 40 octets, headers apart", alternating(8, 40), fixed(64), true},
		{"8 and 56 octets", alternating(8, 56), fixed(128), false},
		{"8 and 64 octets", alternating(8, 64), fixed(128), false},
		{"8 and 80 octets", alternating(8, 80), fixed(128), false},
		{"8 and 1,232 octets in 64 KiB", alternating(8, 1232), fixed(65536), false},
		{"8 in 64 KiB and 1,232 in 2 KiB", alternating(8, 1232), alternating(65536, 2048), false},
		{"16 to 40 octets, headers apart", among(16, 24, 32, 40), fixed(64), true},
		{"any in any", among(8, 16, 24, 40, 56, 104, 504, 1232, 4096), among(64, 256, 2048, 16384, 65536), false},
		{"any in any, headers apart", among(8, 16, 24, 40, 56, 104, 504, 1232, 4096), among(64, 256, 2048, 16384, 65536), true},
	} {
		for name, order := range arrangements {
			t.Run(fmt.Sprintf("R25 %s, %s", g.name, name), func(t *testing.T) {
				e := newEngine(t, defrag.Config{Zone: defrag.ZoneConfig{High: 1 << 30}, Total: 1 << 30})
				for _, length := range []int{100, 2000, 12000, 65000} {
					if length == 65000 && name != "shuffled" {
						continue // Long ones cost most, and differ least.
					}
					payload := peers.UDP(1, 2, wire.Payload(length))
					var packets [][]byte
					for at := 0; at < len(payload); {
						end := min(at+g.size(), len(payload))
						packets = append(packets, peers.Fragment(wire.Fragment{ID: 1, Next: 17, Offset: at, More: end < len(payload)}, payload[at:end]))
						at = end
					}
					if len(packets) == 1 {
						continue
					}
					verdict := defrag.Held
					var b buffer.Buffer
					for _, i := range order(len(packets)) {
						b = chunked(packets[i], g.capacity(), g.apart)
						verdict = e.Gather(&b, &defrag.Metadata{}, nil)
					}
					if verdict != defrag.Reassembled || !bytes.Equal(flat(&b), peers.Packet(17, payload)) {
						t.Fatalf("%v", verdict)
					}
					if got, limit := pinned(&b), factor*int(b.Size())+constant; got > limit {
						t.Errorf("%d octets in %d views pin %d, want at most %d (%.1f times)",
							b.Size(), len(slicesOf(&b)), got, limit, float64(got)/float64(b.Size()))
					}
					b.Release()
				}
			})
		}
	}
}

// R25: a tiny payload is copied, so that its chunk is free at once; the budget
// is charged for the copy, not for the chunk.
func TestDeliverCopiesTinyPayload(t *testing.T) {
	for _, capacity := range []int{2048, 16384, 65536} {
		e := newEngine(t, defrag.Config{})
		packets := peers.Split(1, wire.UDPProtocol, peers.UDP(1, 2, wire.Payload(792)), 8)
		for _, p := range packets[:len(packets)-1] {
			b := chunked(p, capacity, false)
			if v := e.Gather(&b, &defrag.Metadata{}, nil); v != defrag.Held {
				t.Fatal(v)
			}
		}
		if got := e.Stats().Total.Bytes; got > 32<<10 {
			t.Errorf("R25 99 fragments of 8 octets in chunks of %d are held for %d octets", capacity, got)
		}
		b := chunked(packets[len(packets)-1], capacity, false)
		e.Gather(&b, &defrag.Metadata{}, nil)
		if got := pinned(&b); got > 4*int(b.Size()) {
			t.Errorf("R25 a datagram of %d octets from chunks of %d pins %d", b.Size(), capacity, got)
		}
		b.Release()
	}
}

// R25, R33: a first fragment stays whole; if it is tiny, a copy of it does.
func TestHoldCopiesTinyFirst(t *testing.T) {
	for _, capacity := range []int{2048, 16384, 65536} {
		e := newEngine(t, defrag.Config{})
		before := func(octets int) uint64 {
			b := chunked(first(wire.UDPProtocol, content[:octets]), capacity, false)
			if v := e.Gather(&b, &defrag.Metadata{}, nil); v != defrag.Held {
				t.Fatal(v)
			}
			held := e.Stats().Total.Bytes
			e.RemoveZone(0)
			return held
		}
		small, ample := before(16), before(capacity/4)
		if small > 1536 {
			t.Errorf("R25 a first fragment of 16 octets in a chunk of %d is held for %d octets", capacity, small)
		}
		if ample < uint64(capacity) {
			t.Errorf("R25 a first fragment of %d octets in a chunk of %d is held for %d octets: it was copied", capacity/4, capacity, ample)
		}
	}
}

// Tiny payload is copied right wherever its views begin and end.
func TestDeliverCopiesAcrossViews(t *testing.T) {
	udp := peers.UDP(1, 2, wire.Payload(2000))
	want := peers.Packet(wire.UDPProtocol, udp)
	for name, order := range arrangements {
		for _, views := range [][]int{{50}, {48, 51}, {49, 50, 51, 52, 53, 54, 55, 56, 57}, {10, 20, 48, 48, 60}} {
			r := newRig(t, defrag.ZoneConfig{})
			packets := peers.Split(1, wire.UDPProtocol, udp, 24)
			var last fate
			for _, i := range order(len(packets)) {
				b := viewsOf(packets[i], views...)
				last = r.gatherBuffer(&b, packets[i], defrag.Metadata{})
				b.Release()
			}
			if !bytes.Equal(last.packet, want) {
				t.Errorf("R25 %s, views end at %v: %v, wrong datagram", name, views, last.verdict)
			}
		}
	}
}
