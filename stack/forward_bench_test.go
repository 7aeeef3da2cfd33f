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
				forwardAll(b, f.start, nil, [][]byte{packet}, 1, nil)
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
		packets := make([][]byte, flows)
		for i := range packets {
			packets[i] = between.Packet(wire.UDPProtocol, between.UDP(uint16(i), 7, wire.Payload(size-48)))
		}
		b.Run(fmt.Sprintf("v6stack/octets=%d/flows=%d", size, flows), func(b *testing.B) {
			forwardAll(b, startRouter, rules, packets, 1, nil)
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
	b.Run("v6stack/plain=6", func(b *testing.B) { forwardAll(b, startRouter, nil, plain, 6, nil) })
	b.Run("v6stack/fragments=6", func(b *testing.B) {
		forwardAll(b, startRouter, nil, fragments, 6, func(packet []byte, i int) {
			binary.BigEndian.PutUint32(packet[44:], uint32(i))
		})
	})
}

// forwardAll has the packets come, round after round of so many a round of the
// benchmark, and waits for nothing: forwarding is synchronous. mark, unless nil,
// changes a packet before it comes in round i.
func forwardAll(b *testing.B, start func(*testing.B, gstack.LinkEndpoint, gstack.LinkEndpoint, []filter.Rule), rules []filter.Rule, packets [][]byte, each int, mark func([]byte, int)) {
	in, out := channel.New(1, 1500, ""), newSink()
	start(b, in, out, rules)
	round := func(i int) {
		for j := range each {
			packet := packets[(i*each+j)%len(packets)]
			if mark != nil {
				mark(packet, i)
			}
			pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
			in.InjectInbound(header.IPv6ProtocolNumber, pkt)
			pkt.DecRef()
		}
	}
	for i := range len(packets) {
		round(i)
	}
	out.packets.Store(0)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	b.ResetTimer()
	for i := range b.N {
		round(i)
	}
	b.StopTimer()
	elapsed := time.Since(begin)
	runtime.ReadMemStats(&after)
	n := float64(b.N * each)
	if float64(out.packets.Load()) != n {
		b.Fatalf("%d packets forwarded, want %v", out.packets.Load(), n)
	}
	b.ReportMetric(float64(elapsed.Nanoseconds())/n, "ns/packet")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/packet")
}
