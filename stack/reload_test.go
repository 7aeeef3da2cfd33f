package stack_test

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
)

// reload reloads or fails the test.
func (r *router) reload(cfg stack.Config) {
	r.t.Helper()
	if err := r.Reload(cfg); err != nil {
		r.t.Fatal(err)
	}
}

// wantForwarded checks that packet goes from a to that link.
func (r *router) wantForwarded(to *channel.Endpoint, packet []byte) {
	r.t.Helper()
	inject(r.a, packet)
	if to.NumQueued() != 1 {
		r.t.Errorf("%d packets forwarded, want 1", to.NumQueued())
		return
	}
	if got := sent(r.t, to); !bytes.Equal(got, next(packet)) {
		r.t.Errorf("forwarded\n%x\nwant\n%x", got, next(packet))
	}
}

// Routes change; sockets, counters and half a datagram outlive it.
func TestReloadRoutes(t *testing.T) {
	r := newRouter(t, 1500, 1500, nil)
	moved := packetFrom(hostA.String(), "2001:db8:e::1")
	inject(r.a, moved)
	wantError(t, r.a, routerA.Addr(), 1, 0, 0, moved)
	h := wire.Header{Source: hostA, Destination: hostB}
	fragments := h.Split(1, wire.UDPProtocol, h.UDP(9, 7, wire.Payload(1500)), 1024)
	inject(r.a, fragments[0])
	conn := dialUDP(t, r, farHost)

	cfg := r.cfg
	cfg.Routes = []stack.Route{
		{Prefix: netip.MustParsePrefix("2001:db8:e::/48"), Link: "b"},
		{Prefix: farNet, Link: "a"},
	}
	for i := range cfg.Links {
		cfg.Links[i].Endpoint = nil // They stay.
	}
	r.reload(cfg)
	inject(r.a, fragments[1])
	for _, fragment := range fragments {
		if got := sent(t, r.b); !bytes.Equal(got, next(fragment)) {
			t.Error("a datagram that was incomplete is lost")
		}
	}
	r.wantForwarded(r.b, moved)
	if got := r.link("b").ForwardedTo.Packets; got != 3 {
		t.Errorf("%d packets counted, want 3", got)
	}
	conn.Write([]byte("x")) // Its packets go the new way.
	if r.a.NumQueued() != 1 || r.b.NumQueued() != 0 {
		t.Errorf("%d packets of a socket on a, %d on b", r.a.NumQueued(), r.b.NumQueued())
	}
	r.a.Drain()
	dialUDP(t, r, netip.MustParseAddr("2001:db8:e::1")).Write([]byte("x"))
	if r.b.NumQueued() != 1 {
		t.Error("a socket has no use of a new route")
	}
	r.b.Drain()
	cfg.Forward = false
	r.reload(cfg)
	inject(r.a, moved)
	r.wantSilence("no router any more")
	r.reload(r.cfg)
	r.wantForwarded(r.b, packetFrom(hostA.String(), farHost.String()))
}

// Rules change; flows that they still allow go on.
func TestReloadRules(t *testing.T) {
	r := newRouter(t, 1500, 1500, nil)
	cfg := r.cfg
	cfg.Rules = []filter.Rule{
		{From: filter.OnLink("a"), Action: filter.Allow},
		{From: filter.OnLink("b"), Action: filter.Deny},
	}
	r.reload(cfg)
	back := func(port uint16) []byte {
		h := wire.Header{Source: hostB, Destination: hostA}
		return h.Packet(wire.UDPProtocol, h.UDP(7, port, nil))
	}
	inject(r.b, back(9))
	r.wantDrop("b", stack.Denied, 1)
	r.wantForwarded(r.b, packetFrom(hostA.String(), hostB.String())) // from port 9
	cfg.Rules = append([]filter.Rule{{Protocol: filter.TCP, Action: filter.Deny}}, cfg.Rules...)
	r.reload(cfg)
	inject(r.b, back(9), back(10))
	if got := sent(t, r.a); !bytes.Equal(got, next(back(9))) {
		t.Error("the answer of a flow is changed")
	}
	r.wantSilence("no flow")
	if f := r.Stats().Filter; len(f.Rules) != 3 || f.Flows != 1 {
		t.Errorf("%+v", f)
	}
	flows := 0
	for range r.Flows() {
		flows++
	}
	if flows != 1 {
		t.Errorf("%d flows, want 1", flows)
	}
	cfg.Rules = nil
	r.reload(cfg)
	inject(r.b, back(10))
	if got := sent(t, r.a); !bytes.Equal(got, next(back(10))) {
		t.Error("without rules something is denied")
	}
}

// Links come, go and change.
func TestReloadLinks(t *testing.T) {
	r := newRouter(t, 1500, 1500, nil)
	closed := map[string]int{}
	link := func(name, zone, address string) stack.LinkConfig {
		ep := channel.New(64, 1500, "")
		t.Cleanup(func() { ep.Drain() })
		return stack.LinkConfig{
			Name: name, Zone: zone, Endpoint: ep, Addresses: []netip.Prefix{netip.MustParsePrefix(address)},
			Close: func() error { closed[name+zone]++; return nil },
		}
	}
	cfg := r.cfg
	c := link("c", "", "2001:db8:c::ff/64")
	d := link("d", "lab", "2001:db8:c::ff/64")
	cfg.Links = append(cfg.Links[:2:2], c, d)
	cfg.Zones = []stack.ZoneConfig{{Name: "lab", Defrag: defrag.ZoneConfig{Timeout: time.Second}}}
	r.reload(cfg)
	toC := packetFrom(hostA.String(), "2001:db8:c::1")
	r.wantForwarded(c.Endpoint.(*channel.Endpoint), toC)
	if lab, ok := r.Zone("lab"); !ok || lab.Name() != "lab" {
		t.Error("no new zone")
	}
	if zones := r.Stats().Zones; len(zones) != 2 || zones[1].Defrag.Config.Timeout != time.Second {
		t.Errorf("zones %+v", zones)
	}

	// Another link of the same name takes the place of c, and d's zone ends.
	lab, _ := r.Zone("lab")
	socket, err := lab.ListenPacket("udp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	again := link("c", "", "2001:db8:c::fe/64")
	cfg.Links = append(cfg.Links[:2:2], again)
	cfg.Zones = nil
	r.reload(cfg)
	r.wantForwarded(again.Endpoint.(*channel.Endpoint), toC)
	if closed["c"] != 1 || closed["dlab"] != 1 {
		t.Errorf("closed %v", closed)
	}
	if _, ok := r.Zone("lab"); ok || len(r.Stats().Zones) != 1 || len(r.Stats().Links) != 3 {
		t.Error("the zone is still there")
	}
	if _, err := lab.ListenPacket("udp", "[2001:db8:c::ff]:8"); err == nil {
		t.Error("a zone that ended has its address yet")
	}

	// Addresses move; a prefix grows.
	cfg.Links = cfg.Links[:2:2]
	cfg.Links[0].Addresses = []netip.Prefix{routerA, netip.MustParsePrefix("2001:db8:c::ff/64")}
	cfg.Links[1].Addresses = []netip.Prefix{netip.PrefixFrom(routerB.Addr(), 56)}
	r.reload(cfg)
	if closed["c"] != 2 {
		t.Errorf("closed %v", closed)
	}
	r.wantForwarded(r.b, packetFrom("2001:db8:c::1", "2001:db8:b:ff::1"))
	h := wire.Header{Source: hostA, Destination: netip.MustParseAddr("2001:db8:c::ff")}
	inject(r.a, h.Packet(wire.ICMPv6, h.Echo(1, 2, nil)))
	if reply := sent(t, r.a); reply[40] != 129 {
		t.Errorf("reply %x", reply)
	}
	r.reload(r.cfg)
	if got := r.link("a").Addresses; len(got) != 1 || got[0] != routerA {
		t.Errorf("addresses %v", got)
	}
	if got := r.link("b").Addresses; len(got) != 1 || got[0] != routerB {
		t.Errorf("addresses %v", got)
	}
}

// A configuration with a fault changes nothing.
func TestReloadErrors(t *testing.T) {
	r := newRouter(t, 1500, 1500, nil)
	spare := channel.New(64, 1500, "")
	defer spare.Drain()
	with := func(change func(*stack.Config)) stack.Config {
		cfg := r.cfg
		cfg.Links = append([]stack.LinkConfig(nil), cfg.Links...)
		cfg.Routes = append([]stack.Route(nil), cfg.Routes...)
		cfg.Routes[0].Link = "a" // would change something
		change(&cfg)
		return cfg
	}
	for _, test := range []struct {
		name  string
		cfg   stack.Config
		words []string
	}{
		{"route", with(func(c *stack.Config) { c.Routes[0].Link = "z" }), []string{`Link "z"`}},
		{"new link without endpoint", with(func(c *stack.Config) { c.Links = append(c.Links, stack.LinkConfig{Name: "c"}) }), []string{`link "c"`, "Endpoint"}},
		{"other zone", with(func(c *stack.Config) { c.Links[1].Zone = "lab"; c.Routes = nil }), []string{`link "b"`, `Zone is "lab"`}},
		{"rule", with(func(c *stack.Config) { c.Rules = []filter.Rule{{From: filter.OnLink("z")}} }), []string{"z"}},
		{"rule without router", with(func(c *stack.Config) { c.Forward, c.Rules = false, []filter.Rule{{}} }), []string{"Rules", "Forward"}},
		{"zone", with(func(c *stack.Config) {
			c.Zones = []stack.ZoneConfig{{Name: "lab", Defrag: defrag.ZoneConfig{High: 1, Low: 2}}}
			c.Links = append(c.Links, stack.LinkConfig{Name: "c", Zone: "lab", Endpoint: spare})
		}), []string{`zone "lab"`, "low", "high"}},
		{"engine", with(func(c *stack.Config) { c.Engine.Zone.Timeout = -1 }), []string{"timeout"}},
		{"same address", with(func(c *stack.Config) {
			c.Links = append(c.Links, stack.LinkConfig{Name: "c", Endpoint: spare, Addresses: []netip.Prefix{routerA}})
		}), []string{`link "c"`, routerA.String()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := r.Reload(test.cfg)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, word := range test.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not say %q", err, word)
				}
			}
			r.wantForwarded(r.b, packetFrom(hostA.String(), farHost.String()))
			if s := r.Stats(); len(s.Links) != 2 || len(s.Zones) != 1 {
				t.Errorf("%d links, %d zones", len(s.Links), len(s.Zones))
			}
		})
	}
	r.Close()
	if err := r.Reload(r.cfg); !errors.Is(err, stack.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// No packet is lost while links and routes come and go.
func TestReloadUnderTraffic(t *testing.T) {
	a, b := newSink(), newSink()
	base := stack.Config{
		Forward: true,
		Links: []stack.LinkConfig{
			{Name: "a", Endpoint: a, Addresses: []netip.Prefix{routerA}},
			{Name: "b", Endpoint: b, Addresses: []netip.Prefix{routerB}},
		},
	}
	s := newStack(t, base)
	busy := newTraffic(a, b)
	defer busy.stop()
	for i := range 20 {
		cfg := base
		if i%2 == 0 {
			cfg.Links = append(cfg.Links[:2:2], stack.LinkConfig{Name: "c", Zone: "lab", Endpoint: newSink(), Addresses: []netip.Prefix{routerA}})
			cfg.Routes = []stack.Route{{Prefix: farNet, Link: "b"}}
			cfg.Rules = []filter.Rule{{Protocol: filter.TCP, Action: filter.Deny}}
		}
		if err := s.Reload(cfg); err != nil {
			t.Fatal(err)
		}
		busy.wait()
	}
	busy.stop()
	for _, l := range s.Stats().Links {
		for reason, n := range l.Drops {
			if reason := stack.DropReason(reason); n != 0 && reason != stack.NoRoute {
				t.Errorf("link %s: %d drops because of %v", l.Name, n, reason)
			}
		}
		if l.ForwardedFrom.Packets == 0 {
			t.Errorf("link %s: nothing forwarded", l.Name)
		}
	}
}
