package stack_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
)

// Once warm, forwarding allocates nothing: small packets, large ones, fragments
// of a datagram, all through rules.
func TestForwardingAllocatesNothingOnceWarm(t *testing.T) {
	if raceDetector {
		t.Log("the race detector drops pooled objects at random: allocations are not counted")
		return
	}
	in, out := newSink(), newSink()
	newStack(t, stack.Config{
		Forward: true,
		Rules:   []filter.Rule{{Protocol: filter.TCP, Action: filter.Deny}},
		Links: []stack.LinkConfig{
			{Name: "a", Endpoint: in, Addresses: []netip.Prefix{routerA}},
			{Name: "b", Endpoint: out, Addresses: []netip.Prefix{routerB}},
		},
	})
	id := uint32(0)
	for name, packets := range map[string][][]byte{
		"small":     {between.Packet(wire.UDPProtocol, between.UDP(9, 7, wire.Payload(16)))},
		"large":     {between.Packet(wire.UDPProtocol, between.UDP(9, 7, wire.Payload(1352)))},
		"fragments": between.Split(1, wire.UDPProtocol, between.UDP(9, 7, wire.Payload(8000)), 1448),
	} {
		pass := func() {
			id++
			for _, packet := range packets {
				if len(packets) > 1 {
					binary.BigEndian.PutUint32(packet[44:], id)
				}
				pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
				in.InjectInbound(header.IPv6ProtocolNumber, pkt)
				pkt.DecRef()
			}
		}
		for range 100 {
			pass()
		}
		before := out.packets.Load()
		// A garbage collection empties the pools now and then.
		if n := testing.AllocsPerRun(1000, pass); n > 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if got := out.packets.Load() - before; got != int64(1001*len(packets)) {
			t.Errorf("%s: %d packets forwarded, want %d", name, got, 1001*len(packets))
		}
	}
}

// Nor does passing large segments on, whole or cut, or finishing a checksum.
func TestForwardingSegmentsAllocatesNothingOnceWarm(t *testing.T) {
	if raceDetector {
		t.Log("the race detector drops pooled objects at random: allocations are not counted")
		return
	}
	for name, c := range map[string]struct {
		size, packets int
		whole         bool
	}{
		"whole":         {60_000, 1, true},
		"cut":           {60_000, 60, false},
		"unsummed":      {900, 1, true},
		"to be summed":  {900, 1, false},
		"small":         {10, 1, true},
		"small, to sum": {10, 1, false},
	} {
		in, out := channel.New(1, 1500, ""), newSink()
		link := gstack.LinkEndpoint(out)
		if c.whole {
			link = &offloadingSink{out}
		}
		newStack(t, stack.Config{
			Forward: true,
			Rules:   []filter.Rule{{Protocol: filter.TCP, Action: filter.Allow}},
			Links: []stack.LinkConfig{
				{Name: "a", Endpoint: in, Addresses: []netip.Prefix{routerA}},
				{Name: "b", Endpoint: link, Addresses: []netip.Prefix{routerB}},
			},
		})
		s := newStream(c.size, 1000)
		packet := s.large()
		pass := func() { injectLarge(in, packet, largeGSO(1000)) }
		for range 50 {
			pass()
		}
		before := out.packets.Load()
		if n := testing.AllocsPerRun(200, pass); n > 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if got := out.packets.Load() - before; got != int64(201*c.packets) {
			t.Errorf("%s: %d packets forwarded, want %d", name, got, 201*c.packets)
		}
	}
}

// An offloadingSink is a sink that takes large segments.
type offloadingSink struct{ *sink }

func (*offloadingSink) SupportedGSO() gstack.SupportedGSO { return gstack.HostGSOSupported }
func (*offloadingSink) GSOMaxSize() uint32                { return 65535 }
