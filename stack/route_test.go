package stack_test

import (
	"net"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"

	"github.com/v6stack/v6stack/stack"
)

// The longest prefix wins, in whatever order routes are configured, and a
// scoped address goes to its link.
func TestRoutes(t *testing.T) {
	prefix := netip.MustParsePrefix
	endpoints := map[string]*channel.Endpoint{"a": newChannel(t), "b": newChannel(t), "c": newChannel(t)}
	s := newStack(t, stack.Config{
		Links: []stack.LinkConfig{
			{Name: "a", Endpoint: endpoints["a"], Addresses: []netip.Prefix{prefix("fd00:a::1/64"), prefix("fe80::a/64")}},
			{Name: "b", Endpoint: endpoints["b"], Addresses: []netip.Prefix{prefix("fd00:b::1/64"), prefix("fe80::b/64")}},
			{Name: "c", Endpoint: endpoints["c"], Addresses: []netip.Prefix{prefix("fd00:c::1/64")}, Zone: "lab"},
		},
		Routes: []stack.Route{
			{Prefix: prefix("::/0"), Link: "a"},
			{Prefix: prefix("fd00:9::/32"), Link: "b"},
			{Prefix: prefix("fd00:9:9::/48"), Link: "a"},
			{Prefix: prefix("fd00:b::9/128"), Link: "a"},
			{Prefix: prefix("::/0"), Link: "c", Zone: "lab"},
			{Prefix: prefix("2001:db8::/32"), Link: "b", Gateway: netip.MustParseAddr("fd00:b::fe")},
		},
	})
	lab, _ := s.Zone("lab")
	for _, test := range []struct {
		from        network
		destination string
		link        string
		source      string
	}{
		{s, "fd00:a::7", "a", "fd00:a::1"},
		{s, "fd00:b::7", "b", "fd00:b::1"},
		{s, "fd00:b::9", "a", "fd00:a::1"},
		{s, "fd00:9:1::7", "b", "fd00:b::1"},
		{s, "fd00:9:9::7", "a", "fd00:a::1"},
		{s, "fd00:c::7", "a", "fd00:a::1"},
		{s, "2001:db8::7", "b", "fd00:b::1"},
		{s, "fe80::7%a", "a", "fe80::a"},
		{s, "fe80::7%b", "b", "fe80::b"},
		{lab, "fd00:a::7", "c", "fd00:c::1"},
	} {
		c := dial(t, test.from, "udp", "["+test.destination+"]:7")
		if _, err := c.Write([]byte("x")); err != nil {
			t.Errorf("to %s: %v", test.destination, err)
			continue
		}
		for name, ep := range endpoints {
			if n := ep.NumQueued(); (n == 1) != (name == test.link) {
				t.Errorf("to %s: %d packets on link %s, want them on %s", test.destination, n, name, test.link)
			}
		}
		if endpoints[test.link].NumQueued() == 1 {
			source := netip.AddrFrom16(header.IPv6(sent(t, endpoints[test.link])).SourceAddress().As16())
			if source != netip.MustParseAddr(test.source) {
				t.Errorf("to %s: from %s, want %s", test.destination, source, test.source)
			}
		}
		for _, ep := range endpoints {
			ep.Drain()
		}
	}
	socket, err := s.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for _, link := range []string{"a", "b"} {
		if _, err := socket.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP("fe80::7"), Port: 7, Zone: link}); err != nil {
			t.Errorf("to fe80::7%%%s: %v", link, err)
		}
		if n := endpoints[link].NumQueued(); n != 1 {
			t.Errorf("to fe80::7%%%s: %d packets on link %s, want 1", link, n, link)
		}
	}
	zone, _ := s.Zone("")
	gateways := 0
	for _, route := range zone.Netstack().GetRouteTable() {
		if route.Gateway.Len() != 0 {
			gateways++
			if got := netip.AddrFrom16(route.Gateway.As16()); got != netip.MustParseAddr("fd00:b::fe") {
				t.Errorf("gateway %v", got)
			}
		}
	}
	if gateways != 1 {
		t.Errorf("%d gateways, want 1", gateways)
	}
}

// A socket of one family leaves the port to the other.
func TestFamilies(t *testing.T) {
	left, right := newPair(t, 1500)
	echoTCP(t, right, "tcp6", ":7")
	echoTCP(t, right, "tcp4", ":7")
	echoUDP(t, right, "udp6", ":7")
	echoUDP(t, right, "udp4", ":7")
	for _, network := range []string{"tcp", "udp"} {
		roundTrip(t, dial(t, left, network, "[fd00:6::2]:7"), 100)
		roundTrip(t, dial(t, left, network, "192.0.2.2:7"), 100)
	}
	if l, err := right.Listen("tcp", ":7"); err == nil {
		l.Close()
		t.Error("a socket of both families shares the port")
	}
}
