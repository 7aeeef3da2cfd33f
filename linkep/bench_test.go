package linkep_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/linkep"
)

// shapes are the datagrams of the benchmarks: how many fragments, of how many
// octets but for the last.
var shapes = []struct {
	fragments, size, last int
	orders                []string
}{
	{2, 1448, 560, []string{"in-order", "reversed"}},
	{6, 1448, 560, []string{"in-order", "reversed", "shuffled"}},
	{45, 1448, 560, []string{"in-order", "reversed", "shuffled"}},
	{64, 8, 8, []string{"in-order", "reversed", "shuffled", "evens-then-odds"}},
	{8191, 8, 8, []string{"in-order", "reversed", "shuffled", "evens-then-odds"}},
}

var orders = map[string]func(packets [][]byte){
	"in-order": func([][]byte) {},
	"reversed": slices.Reverse[[][]byte],
	"shuffled": func(packets [][]byte) {
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(packets), func(i, j int) {
			packets[i], packets[j] = packets[j], packets[i]
		})
	},
	"evens-then-odds": func(packets [][]byte) {
		var odds [][]byte
		n := 0
		for i, packet := range packets {
			if i%2 == 1 {
				odds = append(odds, packet)
				continue
			}
			packets[n] = packet
			n++
		}
		copy(packets[n:], odds)
	},
}

// peers are the two ways from a link to a NIC.
var peers = []struct {
	name string
	wrap func(b *testing.B, lower gstack.LinkEndpoint) gstack.LinkEndpoint
}{
	{"v6stack", func(b *testing.B, lower gstack.LinkEndpoint) gstack.LinkEndpoint {
		return newEndpoint(b, lower, linkep.Options{})
	}},
	{"gvisor", func(_ *testing.B, lower gstack.LinkEndpoint) gstack.LinkEndpoint { return lower }},
}

// BenchmarkReassembly takes a datagram from the octets of its fragments, which
// are put into PacketBuffers, through reassembly and the stack to a read of the
// UDP socket, once with this package's endpoint and once with gVisor's own
// reassembly.
func BenchmarkReassembly(b *testing.B) {
	for _, shape := range shapes {
		for _, order := range shape.orders {
			for _, p := range peers {
				name := fmt.Sprintf("%s/fragments=%d/octets=%d/%s", p.name, shape.fragments, shape.size, order)
				b.Run(name, func(b *testing.B) {
					payload := wire.Payload((shape.fragments-1)*shape.size + shape.last - header.UDPMinimumSize)
					packets := fragmentsOf(0, payload, shape.size)
					if len(packets) != shape.fragments {
						b.Fatalf("%d fragments, want %d", len(packets), shape.fragments)
					}
					orders[order](packets)
					lower := channel.New(1, mtu, "")
					run(b, lower, newSink(b, p.wrap(b, lower), len(payload)), packets)
				})
			}
		}
	}
}

// run delivers the datagram of packets b.N times, each time with another
// identification, and reads it from the sink.
func run(b *testing.B, lower *channel.Endpoint, to *sink, packets [][]byte) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	b.ResetTimer()
	for i := range b.N {
		for _, packet := range packets {
			binary.BigEndian.PutUint32(packet[44:], uint32(i))
			pkt := newPacket(packet)
			lower.InjectInbound(header.IPv6ProtocolNumber, pkt)
			pkt.DecRef()
		}
		to.read(b)
	}
	b.StopTimer()
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	fragments := float64(b.N * len(packets))
	b.ReportMetric(float64(elapsed.Nanoseconds())/fragments, "ns/fragment")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/fragments, "allocs/fragment")
}

// A sink is a UDP socket behind a link.
type sink struct {
	endpoint tcpip.Endpoint
	octets   []byte
	size     int // of each datagram
}

func newSink(b *testing.B, link gstack.LinkEndpoint, size int) *sink {
	b.Helper()
	s := newStack(b)
	addNIC(b, s, nicID, link, local)
	e, err := s.NewEndpoint(udp.ProtocolNumber, header.IPv6ProtocolNumber, new(waiter.Queue))
	if err != nil {
		b.Fatalf("socket: %v", err)
	}
	b.Cleanup(e.Close)
	if err := e.Bind(tcpip.FullAddress{Port: localPort}); err != nil {
		b.Fatalf("bind: %v", err)
	}
	return &sink{endpoint: e, octets: make([]byte, 1<<16), size: size}
}

func (s *sink) read(b *testing.B) {
	w := tcpip.SliceWriter(s.octets)
	result, err := s.endpoint.Read(&w, tcpip.ReadOptions{})
	if err != nil || result.Count != s.size {
		b.Fatalf("read %d octets, %v, want %d", result.Count, err, s.size)
	}
}

// BenchmarkPassThrough is what the endpoint adds to a packet that is no
// fragment.
func BenchmarkPassThrough(b *testing.B) {
	pkt := newPacket(inbound.Packet(wire.UDPProtocol, inbound.UDP(peerPort, localPort, wire.Payload(1000))))
	defer pkt.DecRef()
	for _, p := range peers {
		b.Run(p.name, func(b *testing.B) {
			lower := channel.New(1, mtu, "")
			p.wrap(b, lower).Attach(discard{})
			b.ReportAllocs()
			for range b.N {
				lower.InjectInbound(header.IPv6ProtocolNumber, pkt)
			}
		})
	}
}
