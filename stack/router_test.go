package stack_test

import (
	"bytes"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// Hosts and our addresses around a router. The far net is behind right's.
var (
	hostA   = netip.MustParseAddr("2001:db8:a::1")
	hostB   = netip.MustParseAddr("2001:db8:b::1")
	farHost = netip.MustParseAddr("2001:db8:f::1")
	routerA = netip.MustParsePrefix("2001:db8:a::ff/64")
	routerB = netip.MustParsePrefix("2001:db8:b::ff/64")
	farNet  = netip.MustParsePrefix("2001:db8:f::/48")
)

// A router is a stack that routes between links "a" and "b".
type router struct {
	*stack.Stack
	t    *testing.T
	a, b *channel.Endpoint
	cfg  stack.Config
}

// newRouter returns a router between two links of the given MTUs; change,
// unless nil, has the last word on its configuration.
func newRouter(t *testing.T, mtuA, mtuB uint32, change func(*stack.Config)) *router {
	t.Helper()
	r := &router{t: t, a: channel.New(256, mtuA, ""), b: channel.New(2048, mtuB, "")}
	t.Cleanup(func() {
		r.a.Drain()
		r.b.Drain()
	})
	r.cfg = stack.Config{
		Forward: true,
		Links: []stack.LinkConfig{
			{Name: "a", Endpoint: r.a, Addresses: []netip.Prefix{routerA}},
			{Name: "b", Endpoint: r.b, Addresses: []netip.Prefix{routerB}},
		},
		Routes: []stack.Route{{Prefix: farNet, Link: "b"}},
	}
	if change != nil {
		change(&r.cfg)
	}
	r.Stack = newStack(t, r.cfg)
	return r
}

// link returns the statistics of a link.
func (r *router) link(name string) stack.LinkStats {
	r.t.Helper()
	for _, l := range r.Stats().Links {
		if l.Name == name {
			return l
		}
	}
	r.t.Fatalf("no link %q", name)
	return stack.LinkStats{}
}

// wantSilence fails if anything goes to a link.
func (r *router) wantSilence(what string) {
	r.t.Helper()
	for name, ep := range map[string]*channel.Endpoint{"a": r.a, "b": r.b} {
		if n := ep.NumQueued(); n != 0 {
			r.t.Errorf("%s: %d packets went to link %s, first %x", what, n, name, sent(r.t, ep))
			ep.Drain()
		}
	}
}

// next returns a copy of packet with a hop limit one less.
func next(packet []byte) []byte {
	packet = bytes.Clone(packet)
	packet[7]--
	return packet
}

// wantError checks that the next packet that goes to a link is an ICMPv6 error
// about cause, and that it is right.
func wantError(t *testing.T, ep *channel.Endpoint, from netip.Addr, kind, code uint8, value uint32, cause []byte) {
	t.Helper()
	if ep.NumQueued() == 0 {
		t.Errorf("no ICMPv6 error %d/%d", kind, code)
		return
	}
	packet := sent(t, ep)
	ip := header.IPv6(packet)
	source := netip.AddrFrom16(ip.SourceAddress().As16())
	destination := netip.AddrFrom16(ip.DestinationAddress().As16())
	to := netip.AddrFrom16(header.IPv6(cause).SourceAddress().As16())
	icmp := header.ICMPv6(packet[40:])
	if ip.NextHeader() != wire.ICMPv6 || len(packet) > 1280 || source != from || destination != to {
		t.Errorf("%d octets of protocol %d from %s to %s, want an error from %s to %s", len(packet), ip.NextHeader(), source, destination, from, to)
		return
	}
	h := wire.Header{Source: source, Destination: destination}
	if icmp.Type() != header.ICMPv6Type(kind) || icmp.Code() != header.ICMPv6Code(code) || icmp.TypeSpecific() != value || h.Checksum(wire.ICMPv6, icmp) != 0 {
		t.Errorf("error %d/%d, value %d, checksum %#x; want %d/%d, value %d", icmp.Type(), icmp.Code(), icmp.TypeSpecific(), icmp.Checksum(), kind, code, value)
	}
	if want := cause[:min(len(cause), 1280-48)]; !bytes.Equal(icmp[8:], want) {
		t.Errorf("error quotes\n%x\nwant\n%x", []byte(icmp[8:]), want)
	}
}

// R42: packets travel both ways, changed in nothing but the hop limit.
func TestForward(t *testing.T) {
	r := newRouter(t, 1500, 1500, nil)
	options := wire.Extensions{}.With(wire.HopByHop, wire.Options(1)).With(wire.DestinationOptions, wire.Options(2))
	for _, h := range []wire.Header{
		{Source: hostA, Destination: hostB},
		{Source: hostA, Destination: farHost, TrafficClass: 0xb8, FlowLabel: 0x12345},
		{Source: hostA, Destination: hostB, HopLimit: 2, Extensions: options},
		{Source: hostA, Destination: hostB, HopLimit: 255},
	} {
		for _, size := range []int{0, 1, 64, 1300} {
			packet := h.Packet(wire.UDPProtocol, h.UDP(9, 7, wire.Payload(size)))
			padded := append(bytes.Clone(packet), 1, 2, 3)
			inject(r.a, packet, padded)
			for range 2 {
				if got := sent(t, r.b); !bytes.Equal(got, next(packet)) {
					t.Errorf("forwarded\n%x\nwant\n%x", got, next(packet))
				}
			}
		}
	}
	back := wire.Header{Source: farHost, Destination: hostA}
	packet := back.Packet(wire.NoNextHeader, nil)
	inject(r.b, packet)
	if got := sent(t, r.a); !bytes.Equal(got, next(packet)) {
		t.Errorf("forwarded\n%x\nwant\n%x", got, next(packet))
	}
	r.wantSilence("at the end")
	a, b := r.link("a"), r.link("b")
	if a.ForwardedFrom.Packets != 32 || b.ForwardedTo != a.ForwardedFrom || a.ForwardedTo != b.ForwardedFrom || b.ForwardedFrom != (stack.Traffic{Packets: 1, Octets: 40}) {
		t.Errorf("link a %+v, link b %+v", a, b)
	}
}

// R42: fragments go on as they came.
func TestForwardFragments(t *testing.T) {
	r := newRouter(t, 1500, 1500, nil)
	h := wire.Header{Source: hostA, Destination: hostB}
	for id, step := range []int{8, 512, 1448} {
		fragments := h.Split(uint32(id), wire.UDPProtocol, h.UDP(9, 7, wire.Payload(1800)), step)
		for i := range fragments {
			inject(r.a, fragments[len(fragments)-1-i])
		}
		for i, fragment := range fragments {
			if got := sent(t, r.b); !bytes.Equal(got, next(fragment)) {
				t.Errorf("fragment %d:\n%x\nwant\n%x", i, got, next(fragment))
			}
		}
	}
	r.wantSilence("at the end")
}
