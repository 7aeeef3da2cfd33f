package stack_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// inject has packets come from a link.
func inject(ep *channel.Endpoint, packets ...[]byte) {
	for _, packet := range packets {
		pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
		ep.InjectInbound(header.IPv6ProtocolNumber, pkt)
		pkt.DecRef()
	}
}

// sent returns the next packet that goes to a link.
func sent(t *testing.T, ep *channel.Endpoint) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pkt := ep.ReadContext(ctx)
	if pkt == nil {
		t.Fatal("no packet came")
	}
	defer pkt.DecRef()
	view := pkt.ToView()
	defer view.Release()
	return bytes.Clone(view.AsSlice())
}

// toRight are the headers of packets to the right end.
var toRight = wire.Header{Source: left6.Addr(), Destination: right6.Addr()}

// newChannel returns an endpoint that is drained when the test ends.
func newChannel(t *testing.T) *channel.Endpoint {
	ep := channel.New(64, 1500, "")
	t.Cleanup(func() { ep.Drain() })
	return ep
}

// Two zones with the same addresses and the same identification never mix:
// each has half of a datagram, and neither gets the other's.
func TestZonesDoNotMix(t *testing.T) {
	a, b := newChannel(t), newChannel(t)
	s := newStack(t, stack.Config{Links: []stack.LinkConfig{
		{Name: "a", Endpoint: a, Addresses: []netip.Prefix{right6}},
		{Name: "b", Endpoint: b, Addresses: []netip.Prefix{right6}, Zone: "lab"},
	}})
	lab, _ := s.Zone("lab")
	first := toRight.UDP(9, 7, bytes.Repeat([]byte("A"), 2000))
	second := toRight.UDP(9, 7, bytes.Repeat([]byte("B"), 2000))
	fragmentsA := toRight.Split(1, wire.UDPProtocol, first, 1024)
	fragmentsB := toRight.Split(1, wire.UDPProtocol, second, 1024)
	sockets := map[string]net.PacketConn{}
	for name, n := range map[string]network{"A": s, "B": lab} {
		p, err := n.ListenPacket("udp", ":7")
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		sockets[name] = p
	}
	inject(a, fragmentsA[0])
	inject(b, fragmentsB[1:]...)
	if got := s.Stats().Defrag.Queues; got != 2 {
		t.Errorf("%d queues for halves in two zones, want 2", got)
	}
	inject(b, fragmentsB[0])
	inject(a, fragmentsA[1:]...)
	for name, p := range sockets {
		p.SetDeadline(time.Now().Add(patience))
		got := make([]byte, 4000)
		n, _, err := p.ReadFrom(got)
		if err != nil || !bytes.Equal(got[:n], bytes.Repeat([]byte(name), 2000)) {
			t.Errorf("zone %s: %d octets, error %v", name, n, err)
		}
	}
	for _, zone := range s.Stats().Zones {
		if zone.Defrag.Datagrams != 1 || zone.Defrag.Queues != 0 {
			t.Errorf("zone %q: %d datagrams, %d queues; want 1 and 0", zone.Name, zone.Defrag.Datagrams, zone.Defrag.Queues)
		}
	}
}

// Every address answers a ping, at once, from itself, and to anywhere that a
// route leads.
func TestEchoReply(t *testing.T) {
	ep := newChannel(t)
	addresses := []netip.Prefix{
		right6,
		netip.MustParsePrefix("fd00:6::3/64"),
		netip.MustParsePrefix("fd00:7::1/128"),
		netip.MustParsePrefix("fe80::1/64"),
	}
	newStack(t, stack.Config{
		Links:  []stack.LinkConfig{{Name: "a", Endpoint: ep, Addresses: addresses}},
		Routes: []stack.Route{{Prefix: netip.MustParsePrefix("::/0"), Link: "a"}},
	})
	for _, source := range []string{"fd00:6::1", "2001:db8::9", "fe80::9"} {
		for _, address := range addresses {
			h := wire.Header{Source: netip.MustParseAddr(source), Destination: address.Addr()}
			for _, size := range []int{56, 8000, 65000} {
				inject(ep, h.Split(uint32(size), wire.ICMPv6, h.Echo(1, 2, wire.Payload(size)), 1232)...)
				reply := reassembled(t, ep)
				want := h.Echo(1, 2, wire.Payload(size))
				if reply.source != h.Destination || reply.destination != h.Source || reply.payload[0] != 129 || !bytes.Equal(reply.payload[4:], want[4:]) {
					t.Errorf("ping of %d octets from %s to %s: reply of %d octets from %s to %s", size, source, address, len(reply.payload), reply.source, reply.destination)
				}
			}
		}
	}
}

// A datagram is what fragments sent by the stack make.
type datagram struct {
	source, destination netip.Addr
	payload             []byte
}

// reassembled returns the next datagram that goes to a link. The stack's
// fragments are in order.
func reassembled(t *testing.T, ep *channel.Endpoint) datagram {
	t.Helper()
	var d datagram
	for {
		packet := header.IPv6(sent(t, ep))
		d.source = netip.AddrFrom16(packet.SourceAddress().As16())
		d.destination = netip.AddrFrom16(packet.DestinationAddress().As16())
		if packet.NextHeader() != wire.FragmentHeader {
			d.payload = packet[header.IPv6MinimumSize:]
			return d
		}
		fragment := packet[header.IPv6MinimumSize:]
		d.payload = append(d.payload, fragment[8:]...)
		if fragment[3]&1 == 0 {
			return d
		}
	}
}

// A zone reassembles as its configuration says, others as the engine's.
func TestZoneConfig(t *testing.T) {
	s := newStack(t, stack.Config{
		Links: []stack.LinkConfig{
			{Name: "a", Endpoint: newChannel(t)},
			{Name: "b", Endpoint: newChannel(t), Zone: "lab"},
			{Name: "c", Endpoint: newChannel(t), Zone: "other"},
		},
		Zones:  []stack.ZoneConfig{{Name: "lab", Defrag: defrag.ZoneConfig{Policy: defrag.Linux, Timeout: time.Second}}},
		Engine: defrag.Config{Zone: defrag.ZoneConfig{Policy: defrag.RFC5722}},
	})
	for _, zone := range s.Stats().Zones {
		if zone.Name == "lab" && (zone.Defrag.Config.Policy != defrag.Linux || zone.Defrag.Config.Timeout != time.Second) {
			t.Errorf("zone %q reassembles by %+v", zone.Name, zone.Defrag.Config)
		}
	}
}

// Hooks see what they are there for, and a filter's no is final.
func TestHooks(t *testing.T) {
	ep := newChannel(t)
	var mu sync.Mutex
	var filtered, datagrams, drops int
	pass := true
	s := newStack(t, stack.Config{Links: []stack.LinkConfig{{
		Name: "a", Endpoint: ep, Addresses: []netip.Prefix{right6}, NoICMPErrors: true,
		Filter: func(*gstack.PacketBuffer) bool {
			mu.Lock()
			defer mu.Unlock()
			filtered++
			return pass
		},
		OnDatagram: func(_ *gstack.PacketBuffer, d *defrag.Datagram) {
			mu.Lock()
			defer mu.Unlock()
			datagrams += len(d.Boundaries)
		},
		OnDrop: func(*defrag.Drop) {
			mu.Lock()
			defer mu.Unlock()
			drops++
		},
	}}})
	fragments := toRight.Split(1, wire.ICMPv6, toRight.Echo(1, 2, wire.Payload(2000)), 1024)
	inject(ep, fragments[0], fragments[0], fragments[1])
	sent(t, ep)
	mu.Lock()
	if filtered != 1 || datagrams != 2 || drops != 1 {
		t.Errorf("filter called %d times, datagrams of %d fragments, %d drops; want 1, 2, 1", filtered, datagrams, drops)
	}
	pass = false
	mu.Unlock()
	inject(ep, toRight.Packet(wire.ICMPv6, toRight.Echo(1, 3, nil)))
	stats := s.Stats().Links[0]
	if stats.Link.Filtered != 1 {
		t.Errorf("%d packets filtered, want 1", stats.Link.Filtered)
	}
	if stats.Received.Packets != 1 || stats.Received.Octets < 2000 {
		t.Errorf("received %+v, want one datagram", stats.Received)
	}
	if stats.Sent.Packets < 1 || stats.Sent.Octets < 2000 {
		t.Errorf("sent %+v, want an echo reply", stats.Sent)
	}
	if stats.Name != "a" || stats.Zone != "" || stats.MTU != 1500 || len(stats.Addresses) != 1 {
		t.Errorf("link is %+v", stats)
	}
}

// A stack is silent on its link until it is spoken to.
func TestSilence(t *testing.T) {
	ep := newChannel(t)
	newStack(t, stack.Config{Links: []stack.LinkConfig{{Name: "a", Endpoint: ep, Addresses: []netip.Prefix{right6}}}})
	inject(ep, toRight.Packet(wire.ICMPv6, toRight.Echo(1, 2, nil)))
	if packet := header.IPv6(sent(t, ep)); packet.NextHeader() != wire.ICMPv6 || packet[40] != 129 {
		t.Errorf("the first packet sent is no echo reply: %x", []byte(packet))
	}
}

// The stack's clock is the engine's, too: a datagram that stays incomplete is
// given up when that says so, with the error that is owed for it.
func TestClock(t *testing.T) {
	ep := newChannel(t)
	clock := faketime.NewManualClock()
	s := newStack(t, stack.Config{
		Clock: clock,
		Links: []stack.LinkConfig{{Name: "a", Endpoint: ep, Addresses: []netip.Prefix{right6}}},
	})
	inject(ep, toRight.Split(1, wire.UDPProtocol, toRight.UDP(9, 7, wire.Payload(2000)), 1024)[0])
	clock.Advance(59 * time.Second)
	if ep.NumQueued() != 0 || s.Stats().Defrag.Queues != 1 {
		t.Error("given up before the time")
	}
	clock.Advance(10 * time.Second)
	packet := header.IPv6(sent(t, ep))
	if packet.NextHeader() != wire.ICMPv6 || packet[40] != 3 || packet[41] != 1 {
		t.Errorf("no Time Exceeded: %x", []byte(packet))
	}
	if n := s.Stats().Links[0].Link.ErrorsSent; n != 1 {
		t.Errorf("%d errors sent, want 1", n)
	}
}

// What is incomplete when the stack closes is dropped, and counted.
func TestCloseDropsFragments(t *testing.T) {
	ep := newChannel(t)
	s := newStack(t, stack.Config{Links: []stack.LinkConfig{{Name: "a", Endpoint: ep, Addresses: []netip.Prefix{right6}}}})
	inject(ep, toRight.Split(1, wire.UDPProtocol, toRight.UDP(9, 7, wire.Payload(2000)), 1024)[0])
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := s.Stats().Defrag; got.Queues != 0 || got.Bytes != 0 || got.Packets[defrag.Flushed] != 1 {
		t.Errorf("%d queues of %d octets left, %d fragments flushed; want 0, 0, 1", got.Queues, got.Bytes, got.Packets[defrag.Flushed])
	}
	if ep.NumQueued() != 0 {
		t.Error("closing sent a packet")
	}
}
