package defrag

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"slices"
	"testing"
	"unsafe"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/refs"

	"github.com/v6stack/v6stack/internal/wire"
)

var ends = wire.Header{
	Source:      netip.MustParseAddr("2001:db8::1"),
	Destination: netip.MustParseAddr("2001:db8::2"),
}

// allocations returns how many allocations a call of f costs once warm. The
// leak checker's and those that a garbage collection causes, by emptying the
// pools, do not count.
func allocations(t *testing.T, f func()) float64 {
	t.Helper()
	refs.SetLeakMode(refs.NoLeakChecking)
	defer refs.SetLeakMode(refs.LeaksPanic)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	return testing.AllocsPerRun(300, f)
}

// What is no fragment costs no allocation, under the race detector either:
// nothing on its way is pooled.
func TestPassingAllocatesNothing(t *testing.T) {
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	behind := ends
	behind.Extensions = behind.Extensions.With(wire.HopByHop, wire.Options(1)).With(wire.Routing, wire.Options(4))
	payload := wire.Payload(100)
	for name, packet := range map[string][]byte{
		"UDP":               ends.Packet(wire.UDPProtocol, payload),
		"extension headers": behind.Packet(wire.TCP, payload),
		"cut off":           ends.Packet(wire.UDPProtocol, payload)[:20],
	} {
		b := buffer.MakeWithData(packet)
		meta := Metadata{Zone: 3}
		if n := testing.AllocsPerRun(1000, func() {
			if e.Gather(&b, &meta, nil) != Passed {
				t.Fatal("not passed")
			}
		}); n != 0 {
			t.Errorf("R1 %s: %v allocations", name, n)
		}
		b.Release()
	}
}

// Once warm, a datagram costs no allocation from its first fragment to its
// delivery, however many fragments it has and in whatever order they come.
func TestFragmentsAllocateNothingOnceWarm(t *testing.T) {
	if raceDetector {
		t.Log("the race detector drops pooled objects at random: allocations are not counted")
		return
	}
	for _, c := range []struct{ fragments, size int }{{2, 1232}, {3, 1232}, {6, 1232}, {7, 1232}, {45, 1232}, {64, 8}, {64, 16}, {600, 104}} {
		for _, shuffled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d of %d octets, shuffled %v", c.fragments, c.size, shuffled), func(t *testing.T) {
				e, err := New(Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				packets := ends.Split(0, wire.UDPProtocol, ends.UDP(1, 2, wire.Payload(c.fragments*c.size-8)), c.size)
				if shuffled {
					rand.New(rand.NewPCG(1, 1)).Shuffle(len(packets), func(i, j int) { packets[i], packets[j] = packets[j], packets[i] })
				}
				header, _ := MakeLinkHeader(make([]byte, 14))
				meta := Metadata{Zone: 1, LinkHeader: header}
				var d Datagram
				var b buffer.Buffer // Of the caller: it escapes.
				id := uint32(0)
				datagram := func() {
					id++
					for i, packet := range packets {
						packet[44], packet[45], packet[46], packet[47] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
						b = buffer.MakeWithData(packet)
						if v := e.Gather(&b, &meta, &d); v == Reassembled != (i == len(packets)-1) {
							t.Fatal(v)
						}
						b.Release()
					}
				}
				for id < 1500 { // Every shard gets its timer and its table.
					datagram()
				}
				if n := allocations(t, datagram); n != 0 {
					t.Errorf("%v allocations for %d fragments", n, c.fragments)
				}
			})
		}
	}
}

// addTo adds one fragment to a without an engine.
func addTo(t *testing.T, a *assembly, packet []byte, capacity int) {
	t.Helper()
	v := buffer.NewView(max(capacity, len(packet)))
	v.Write(packet)
	b := buffer.MakeWithView(v)
	p, verdict, _ := inspect(&b, RFC8200)
	if verdict != Held {
		t.Fatal(verdict)
	}
	a.add(&p, &b, &Metadata{})
}

// held reports whether f holds anything.
func held(f fragment) bool { return f.packet.Size() > 0 || f.length > 0 }

// Whatever the order of 8,191 pieces, the flat view grows a few times only,
// and all that is copied for it is less than twice the payload.
func TestFlatViewGrowsFewTimes(t *testing.T) {
	const n = 8191
	packets := ends.Split(0, wire.UDPProtocol, ends.UDP(1, 2, wire.Payload(8*n-8)), 8)
	for name, at := range map[string]func(i int) int{
		"in order":        func(i int) int { return i },
		"reversed":        func(i int) int { return n - 1 - i },
		"evens then odds": func(i int) int { return 2 * i % n },
		"shuffled":        func(i int) int { return i * 4099 % n },
		"from the middle": func(i int) int { return (i + n/2) % n },
		"inwards":         func(i int) int { return i/2 + (n-1-i)*(i%2) },
	} {
		for _, capacity := range []int{64, 2048} {
			t.Run(fmt.Sprintf("R13 %s, chunks of %d", name, capacity), func(t *testing.T) {
				var a assembly
				defer a.reset()
				grown, copied, loose := 0, 0, 0
				flat := a.flat
				seen := make([]bool, n)
				for i := range n {
					j := at(i)
					if name == "inwards" && i%2 == 1 {
						j = n - 1 - i/2
					}
					if seen[j] {
						t.Fatalf("piece %d twice", j)
					}
					seen[j] = true
					addTo(t, &a, packets[j], capacity)
					if a.flat != flat {
						if a.list.slab != nil && slices.ContainsFunc(a.list.slab.items[a.list.n:], held) {
							t.Fatalf("%d pieces: one that was moved is still referred to", i+1)
						}
						grown++
						if flat != nil {
							copied += flat.Size()
						}
						flat = a.flat
					}
					loose = max(loose, int(a.list.n))
				}
				if grown == 0 || grown > 11 || copied > 2*65536 {
					t.Errorf("the flat view grew %d times, and %d octets were copied for it", grown, copied)
				}
				if loose > 1000 {
					t.Errorf("%d pieces waited for a place", loose)
				}
				if !a.complete() || a.list.n != 1 {
					t.Errorf("complete: %v; %d fragments outside the flat view", a.complete(), a.list.n)
				}
			})
		}
	}
}

// What an assembly says it costs is what its views and structures cost.
func TestAssemblyMemory(t *testing.T) {
	for _, c := range []struct{ size, capacity int }{{8, 64}, {8, 65536}, {40, 128}, {1232, 2048}, {1232, 65536}} {
		var a assembly
		for i, packet := range ends.Split(0, wire.UDPProtocol, ends.UDP(1, 2, wire.Payload(20000)), c.size) {
			addTo(t, &a, packet, c.capacity)
			want := a.list.memory()
			for _, f := range a.list.all() {
				want += truesize(&f.packet)
			}
			if a.flat != nil {
				want += a.flat.Capacity() + viewOverhead
			}
			if a.cover.maps != nil {
				want += int(unsafe.Sizeof(bitmaps{}))
			}
			if (a.cover.maps != nil) != (i >= inlineSpans) {
				t.Fatalf("%d fragments: bitmaps %v", i+1, a.cover.maps != nil)
			}
			if got := a.memory(); got != want {
				t.Fatalf("%d octets in %d, %d fragments: %d, want %d", c.size, c.capacity, i+1, got, want)
			}
		}
		a.reset()
		if got := a.memory(); got != 0 {
			t.Errorf("%d octets after reset", got)
		}
	}
}
