package stack_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
)

// between are the headers of what benchmarks forward.
var between = wire.Header{Source: hostA, Destination: hostB}

// forwarders are the two that forward from a link to a sink.
var forwarders = []struct {
	name  string
	start func(b *testing.B, in gstack.LinkEndpoint, out gstack.LinkEndpoint, rules []filter.Rule)
}{
	{"v6stack", startRouter},
	{"gvisor", startNetstack},
}

// startRouter has a [stack.Stack] forward.
func startRouter(b *testing.B, in, out gstack.LinkEndpoint, rules []filter.Rule) {
	s, err := stack.New(stack.Config{
		Forward: true,
		Rules:   rules,
		Links: []stack.LinkConfig{
			{Name: "a", Endpoint: in, Addresses: []netip.Prefix{routerA}},
			{Name: "b", Endpoint: out, Addresses: []netip.Prefix{routerB}},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
}

// startNetstack has gVisor's stack forward between two NICs.
func startNetstack(b *testing.B, in, out gstack.LinkEndpoint, _ []filter.Rule) {
	s := gstack.New(gstack.Options{NetworkProtocols: []gstack.NetworkProtocolFactory{ipv6.NewProtocol}})
	b.Cleanup(s.Destroy)
	for i, e := range []gstack.LinkEndpoint{in, out} {
		id := tcpip.NICID(i + 1)
		if err := s.CreateNIC(id, e); err != nil {
			b.Fatal(err)
		}
		address := []netip.Prefix{routerA, routerB}[i]
		if err := s.AddProtocolAddress(id, tcpip.ProtocolAddress{
			Protocol:          ipv6.ProtocolNumber,
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom16(address.Addr().As16()), PrefixLen: 64},
		}, gstack.AddressProperties{}); err != nil {
			b.Fatal(err)
		}
		s.AddRoute(tcpip.Route{
			Destination: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom16(address.Masked().Addr().As16()), PrefixLen: 64}.Subnet(),
			NIC:         id,
		})
	}
	if err := s.SetForwardingDefaultAndAllNICs(ipv6.ProtocolNumber, true); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkForward takes a packet from the octets that came, which are put into
// a PacketBuffer, to the WritePackets of another link.
func BenchmarkForward(b *testing.B) {
	for _, f := range forwarders {
		for _, size := range []int{64, 1400} {
			packet := between.Packet(wire.UDPProtocol, between.UDP(9, 7, wire.Payload(size-48)))
			b.Run(fmt.Sprintf("%s/octets=%d", f.name, size), func(b *testing.B) {
				workload{packets: [][]byte{packet}, warm: 100}.run(b, f.start)
			})
		}
	}
}

// BenchmarkForwardFiltered is BenchmarkForward through a stateful filter that
// knows 10,000 flows, of which each packet belongs to another.
func BenchmarkForwardFiltered(b *testing.B) {
	const flows = 10_000
	rules := []filter.Rule{{Protocol: filter.TCP, Action: filter.Deny}, {Action: filter.Allow}}
	for _, size := range []int{64, 1400} {
		packet := between.Packet(wire.UDPProtocol, between.UDP(9, 7, wire.Payload(size-48)))
		b.Run(fmt.Sprintf("v6stack/octets=%d/flows=%d", size, flows), func(b *testing.B) {
			w := workload{packets: [][]byte{packet}, warm: flows, rules: rules, mark: func(packet []byte, i int) {
				binary.BigEndian.PutUint16(packet[40:], uint16(i%flows))
			}}
			w.run(b, startRouter)
		})
	}
}

// BenchmarkForwardFragments takes a datagram of six fragments from link to
// link, beside six packets of the same sizes.
func BenchmarkForwardFragments(b *testing.B) {
	fragments := between.Split(1, wire.UDPProtocol, between.UDP(9, 7, wire.Payload(5*1448+552)), 1448)
	var plain [][]byte
	for _, fragment := range fragments {
		plain = append(plain, between.Packet(wire.UDPProtocol, between.UDP(9, 7, wire.Payload(len(fragment)-48))))
	}
	b.Run("v6stack/plain=6", func(b *testing.B) {
		workload{packets: plain, warm: 100}.run(b, startRouter)
	})
	b.Run("v6stack/fragments=6", func(b *testing.B) {
		w := workload{packets: fragments, warm: 100, mark: func(packet []byte, i int) {
			binary.BigEndian.PutUint32(packet[44:], uint32(i))
		}}
		w.run(b, startRouter)
	})
}

// A workload is packets that come to a forwarder, all in each round of a
// benchmark.
type workload struct {
	packets [][]byte
	warm    int                        // rounds before time is taken
	rules   []filter.Rule              // of a router
	mark    func(packet []byte, i int) // unless nil, changes each packet of round i
}

// run runs the workload. It waits for nothing: forwarding is synchronous.
func (w workload) run(b *testing.B, start func(*testing.B, gstack.LinkEndpoint, gstack.LinkEndpoint, []filter.Rule)) {
	in, out := channel.New(1, 1500, ""), newSink()
	start(b, in, out, w.rules)
	round := func(i int) {
		for _, packet := range w.packets {
			if w.mark != nil {
				w.mark(packet, i)
			}
			pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
			in.InjectInbound(header.IPv6ProtocolNumber, pkt)
			pkt.DecRef()
		}
	}
	for i := range w.warm {
		round(i)
	}
	out.packets.Store(0)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	b.ResetTimer()
	for i := range b.N {
		round(w.warm + i)
	}
	b.StopTimer()
	elapsed := time.Since(begin)
	runtime.ReadMemStats(&after)
	n := float64(b.N * len(w.packets))
	if got := float64(out.packets.Load()); got != n {
		b.Fatalf("%v packets forwarded, want %v", got, n)
	}
	b.ReportMetric(float64(elapsed.Nanoseconds())/n, "ns/packet")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/packet")
}
