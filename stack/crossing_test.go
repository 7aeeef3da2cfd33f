package stack_test

import (
	"bytes"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
)

// A tenants is a router with two zones that use the same addresses, each with
// a link to the tenant and one to the tenant's network; and a link "up" in the
// default zone that red's packets may cross to where a rule says so.
type tenants struct {
	*router
	links map[string]*channel.Endpoint
}

func newTenants(t *testing.T, rules ...filter.Rule) *tenants {
	t.Helper()
	links := make(map[string]*channel.Endpoint)
	up := netip.MustParsePrefix("2001:db8:1::ff/64")
	link := func(name, zone string, address netip.Prefix) stack.LinkConfig {
		links[name] = channel.New(64, 1500, "")
		t.Cleanup(func() { links[name].Drain() })
		return stack.LinkConfig{Name: name, Zone: zone, Endpoint: links[name], Addresses: []netip.Prefix{address}}
	}
	r := newRouter(t, 1500, 1500, func(cfg *stack.Config) {
		cfg.Links = []stack.LinkConfig{
			link("red a", "red", routerA), link("red b", "red", routerB),
			link("blue a", "blue", routerA), link("blue b", "blue", routerB),
			link("up", stack.DefaultZone, up),
		}
		cfg.Routes = []stack.Route{
			{Prefix: up.Masked(), Zone: "red", Link: "up"},
			{Prefix: routerA.Masked(), Zone: stack.DefaultZone, Link: "red a"},
		}
		cfg.Rules = rules
	})
	return &tenants{r, links}
}

// wantOn checks that packet goes, forwarded, to that link and nothing to
// others; an empty name stands for none.
func (r *tenants) wantOn(link string, packet []byte) {
	r.t.Helper()
	for name, ep := range r.links {
		switch n := ep.NumQueued(); {
		case name != link && n != 0:
			r.t.Errorf("%d packets went to link %s, the first %x", n, name, sent(r.t, ep))
		case name == link && n != 1:
			r.t.Errorf("%d packets went to link %s, want 1", n, name)
		case name == link:
			if got := sent(r.t, ep); !bytes.Equal(got, next(packet)) {
				r.t.Errorf("forwarded\n%x\nwant\n%x", got, next(packet))
			}
		}
		ep.Drain()
	}
}

// Zones with the same addresses and the same identification do not meet.
func TestEqualZones(t *testing.T) {
	r := newTenants(t)
	h := wire.Header{Source: hostA, Destination: hostB}
	red := h.Split(1, wire.UDPProtocol, h.UDP(9, 7, bytes.Repeat([]byte("R"), 1500)), 1024)
	blue := h.Split(1, wire.UDPProtocol, h.UDP(9, 7, bytes.Repeat([]byte("B"), 1500)), 1024)
	inject(r.links["red a"], red[0])
	inject(r.links["blue a"], blue[1])
	r.wantOn("", nil)
	inject(r.links["blue a"], blue[0])
	for i := range blue {
		if got := sent(t, r.links["blue b"]); !bytes.Equal(got, next(blue[i])) {
			t.Errorf("blue's fragment %d differs", i)
		}
	}
	inject(r.links["red a"], red[1])
	for i := range red {
		if got := sent(t, r.links["red b"]); !bytes.Equal(got, next(red[i])) {
			t.Errorf("red's fragment %d differs", i)
		}
	}
	r.wantOn("", nil)
}

// Nothing crosses unless there is a route and a rule.
func TestCrossing(t *testing.T) {
	out := packetFrom(hostA.String(), "2001:db8:1::1")
	back := func() []byte {
		h := wire.Header{Source: netip.MustParseAddr("2001:db8:1::1"), Destination: hostA}
		return h.Packet(wire.UDPProtocol, h.UDP(7, 9, wire.Payload(10)))
	}()
	ours := packetFrom(hostA.String(), "2001:db8:1::ff")
	cross := filter.Rule{From: filter.InZone("red"), To: filter.InZone(""), Action: filter.Allow}
	t.Run("no rule", func(t *testing.T) {
		r := newTenants(t)
		inject(r.links["red a"], out)
		inject(r.links["up"], back)
		r.wantOn("", nil)
		r.wantDrop("red a", stack.Denied, 1)
		r.wantDrop("up", stack.Denied, 1)
	})
	t.Run("rule", func(t *testing.T) {
		r := newTenants(t, cross)
		inject(r.links["up"], back)
		r.wantOn("", nil)
		r.wantDrop("up", stack.Denied, 1)
		inject(r.links["red a"], out)
		r.wantOn("up", out)
		inject(r.links["up"], back)
		r.wantOn("red a", back)
		if f := r.Stats().Filter; f.Flows != 1 || len(f.Rules) != 1 || f.Rules[0].Packets != 2 {
			t.Errorf("filter: %+v", f)
		}
	})
	t.Run("stateless rule", func(t *testing.T) {
		stateless := cross
		stateless.Stateless = true
		r := newTenants(t, stateless)
		inject(r.links["red a"], out)
		r.wantOn("up", out)
		inject(r.links["up"], back)
		r.wantOn("", nil)
	})
	t.Run("rule without a route", func(t *testing.T) {
		r := newTenants(t, filter.Rule{Action: filter.Allow})
		inject(r.links["blue a"], out)
		wantError(t, r.links["blue a"], routerA.Addr(), 1, 0, 0, out)
		r.wantOn("", nil)
	})
	t.Run("another zone's own address", func(t *testing.T) {
		r := newTenants(t, cross)
		inject(r.links["red a"], ours)
		wantError(t, r.links["red a"], routerA.Addr(), 1, 0, 0, ours)
		r.wantOn("", nil)
	})
	t.Run("equal address in another zone", func(t *testing.T) {
		r := newTenants(t, cross)
		inject(r.links["red a"], wire.Header{Source: hostA, Destination: routerA.Addr()}.Packet(wire.NoNextHeader, nil))
		inject(r.links["blue a"], packetFrom(hostA.String(), hostB.String()))
		r.wantOn("blue b", packetFrom(hostA.String(), hostB.String()))
	})
}

// A rule for a port stops every fragment of what it denies, and nothing else;
// reject says so.
func TestRules(t *testing.T) {
	port := func(port uint16, action filter.Action) filter.Rule {
		return filter.Rule{Protocol: filter.UDP, DestinationPorts: []filter.PortRange{{First: port, Last: port}}, Action: action}
	}
	r := newRouter(t, 1500, 1500, func(cfg *stack.Config) {
		cfg.Rules = []filter.Rule{port(53, filter.Deny), port(54, filter.Reject)}
	})
	h := wire.Header{Source: hostA, Destination: hostB}
	fragments := func(port uint16) [][]byte {
		return h.Split(uint32(port), wire.UDPProtocol, h.UDP(9, port, wire.Payload(4000)), 1024)
	}
	inject(r.a, fragments(53)...)
	r.wantSilence("denied")
	r.wantDrop("a", stack.Denied, 1)
	inject(r.a, fragments(54)...)
	wantError(t, r.a, routerA.Addr(), 1, 1, 0, fragments(54)[0])
	r.wantSilence("rejected")
	if n := r.link("a").Drops[stack.Rejected]; n != 1 {
		t.Errorf("%d drops, want 1", n)
	}
	inject(r.a, fragments(55)...)
	for i, fragment := range fragments(55) {
		if got := sent(t, r.b); !bytes.Equal(got, next(fragment)) {
			t.Errorf("fragment %d differs", i)
		}
	}
	r.wantSilence("allowed")
}
