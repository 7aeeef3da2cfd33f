package defrag_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/ip6defrag"
	"github.com/gopacket/gopacket/layers"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/refs"

	"github.com/v6stack/v6stack/defrag"
)

// benchmarkShapes are the datagrams of the benchmarks.
var benchmarkShapes = []struct {
	name           string
	pieces, length int
}{
	{"2", 2, 1448},
	{"6", 6, 1448},
	{"45", 45, 1448},
	{"64x8", 64, 8},
	{"8191x8", 8191, 8},
}

// benchmarkOrders are the orders in which fragments arrive.
var benchmarkOrders = []struct {
	name    string
	arrange func(packets []segment)
}{
	{"in-order", func([]segment) {}},
	{"reversed", slices.Reverse[[]segment]},
	{"shuffled", func(p []segment) {
		rand.New(rand.NewPCG(4, 5)).Shuffle(len(p), func(i, j int) { p[i], p[j] = p[j], p[i] })
	}},
	{"evens-then-odds", func(p []segment) {
		length := p[0].length
		parity := func(s segment) int { return s.offset / length % 2 }
		slices.SortStableFunc(p, func(a, b segment) int { return parity(a) - parity(b) })
	}},
}

// withoutLeakRecords turns gVisor's leak checking, a map of all buffers, off
// for a benchmark.
func withoutLeakRecords(b *testing.B) {
	mode := refs.GetLeakMode()
	refs.SetLeakMode(refs.NoLeakChecking)
	b.Cleanup(func() { refs.SetLeakMode(mode) })
}

// newBenchmarkEngine returns an engine that budgets do not disturb.
func newBenchmarkEngine(b *testing.B) *defrag.Engine {
	e, err := defrag.New(defrag.Config{Total: 1 << 40, Zone: defrag.ZoneConfig{High: 1 << 39}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(e.Close)
	return e
}

// A benchmarkDatagram is a datagram's fragments, ready to be cloned.
type benchmarkDatagram []*buffer.View

// newBenchmarkDatagram returns the fragments in that order, in chunks of
// their size.
func newBenchmarkDatagram(b *testing.B, h host, list []segment) (d benchmarkDatagram) {
	for _, s := range list {
		d = append(d, buffer.NewViewWithData(s.packet(h, nil)))
	}
	b.Cleanup(func() {
		for _, v := range d {
			v.Release()
		}
	})
	return d
}

// gather feeds the datagram in; the last fragment must complete it. The
// clones share their chunks: making one costs some 30 ns, which the benchmarks
// "clone" measure and none subtracts.
func (d benchmarkDatagram) gather(b *testing.B, e *defrag.Engine, meta *defrag.Metadata) {
	verdict := defrag.Held
	var packet buffer.Buffer // on the heap, but once a datagram
	for _, v := range d {
		packet = buffer.MakeWithView(v.Clone())
		verdict = e.Gather(&packet, meta, nil)
		packet.Release()
	}
	if verdict != defrag.Reassembled {
		b.Fatal(verdict)
	}
}

// perFragment reports the cost of a fragment.
func perFragment(b *testing.B, fragments int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(fragments), "ns/fragment")
}

// BenchmarkGather measures reassembly alone, beside gopacket's. gopacket gets
// its packets decoded, for nothing; ours parses them.
func BenchmarkGather(b *testing.B) {
	for _, shape := range benchmarkShapes {
		for _, order := range benchmarkOrders {
			list := segments(7, shape.pieces*shape.length, shape.length)
			order.arrange(list)
			name := shape.name + "/" + order.name
			b.Run("v6stack/"+name, func(b *testing.B) {
				withoutLeakRecords(b)
				e := newBenchmarkEngine(b)
				d := newBenchmarkDatagram(b, host{}, list)
				b.ReportAllocs()
				for b.Loop() {
					d.gather(b, e, &defrag.Metadata{})
				}
				perFragment(b, len(list))
			})
			b.Run("gopacket/"+name, func(b *testing.B) { benchmarkPeer(b, list) })
		}
		b.Run("clone/"+shape.name, func(b *testing.B) {
			withoutLeakRecords(b)
			d := newBenchmarkDatagram(b, host{}, segments(7, shape.pieces*shape.length, shape.length))
			for b.Loop() {
				for _, v := range d {
					packet := buffer.MakeWithView(v.Clone())
					packet.Release()
				}
			}
			perFragment(b, len(d))
		})
	}
}

// benchmarkPeer is gopacket's part of BenchmarkGather.
func benchmarkPeer(b *testing.B, list []segment) {
	type decoded struct {
		ip       *layers.IPv6
		fragment *layers.IPv6Fragment
	}
	var packets []decoded
	for _, s := range list {
		p := gopacket.NewPacket(s.packet(host{}, nil), layers.LayerTypeIPv6, gopacket.Default)
		ip, _ := p.NetworkLayer().(*layers.IPv6)
		fragment, ok := p.Layer(layers.LayerTypeIPv6Fragment).(*layers.IPv6Fragment)
		if ip == nil || !ok {
			b.Fatal("gopacket does not see the fragment")
		}
		packets = append(packets, decoded{ip, fragment})
	}
	d := ip6defrag.NewIPv6Defragmenter()
	b.ReportAllocs()
	for b.Loop() {
		var whole *layers.IPv6
		for _, p := range packets {
			whole = d.DefragIPv6(p.ip, p.fragment)
		}
		if whole == nil {
			b.Fatal("not reassembled")
		}
	}
	perFragment(b, len(packets))
}

// BenchmarkGatherAmong gathers one flow beside none and beside 100,000
// incomplete datagrams.
func BenchmarkGatherAmong(b *testing.B) {
	for name, others := range map[string]int{"0": 0, "100000": 100_000} {
		b.Run(name, func(b *testing.B) {
			withoutLeakRecords(b)
			e := newBenchmarkEngine(b)
			for i := range others {
				packet := buffer.MakeWithData(segment{uint32(i), 0, 8, true}.packet(host{uint32(i), 9}, nil))
				e.Gather(&packet, &defrag.Metadata{}, nil)
				packet.Release()
			}
			d := newBenchmarkDatagram(b, host{}, segments(7, 6*1448, 1448))
			for b.Loop() {
				d.gather(b, e, &defrag.Metadata{})
			}
			perFragment(b, len(d))
		})
	}
}

// BenchmarkParallel gathers a flow a goroutine; run it with -cpu 1,2.
func BenchmarkParallel(b *testing.B) {
	withoutLeakRecords(b)
	e := newBenchmarkEngine(b)
	list := segments(7, 45*1448, 1448)
	flows := make(chan benchmarkDatagram, 64)
	for i := range cap(flows) {
		flows <- newBenchmarkDatagram(b, host{uint32(i), 0}, list)
	}
	b.RunParallel(func(loop *testing.PB) {
		d := <-flows
		for loop.Next() {
			d.gather(b, e, &defrag.Metadata{})
		}
		flows <- d
	})
	perFragment(b, len(list))
}
