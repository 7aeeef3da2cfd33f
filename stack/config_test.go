package stack_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/stack"
)

func TestConfigErrors(t *testing.T) {
	ep := channel.New(1, 1500, "")
	prefixes := func(texts ...string) (all []netip.Prefix) {
		for _, text := range texts {
			all = append(all, netip.MustParsePrefix(text))
		}
		return all
	}
	link := func(name, zone string, addresses ...string) stack.LinkConfig {
		return stack.LinkConfig{Name: name, Zone: zone, Endpoint: channel.New(1, 1500, ""), Addresses: prefixes(addresses...)}
	}
	links := func(all ...stack.LinkConfig) stack.Config { return stack.Config{Links: all} }
	routes := func(all ...stack.Route) stack.Config {
		return stack.Config{Links: []stack.LinkConfig{link("a", "", "fd00:1::1/64"), link("b", "lab", "fd00:1::1/64"), link("c", "", "fd00:2::1/64")}, Routes: all}
	}
	prefix := netip.MustParsePrefix
	for _, test := range []struct {
		name string
		cfg  stack.Config
		want []string
	}{
		{"no name", links(stack.LinkConfig{Endpoint: ep}), []string{"link 0", "Name"}},
		{"no endpoint", links(stack.LinkConfig{Name: "a"}), []string{`link "a"`, "Endpoint is nil"}},
		{"name twice", links(link("a", ""), link("a", "")), []string{`link "a"`, "twice"}},
		{"link in two zones", links(link("a", "x"), link("a", "y")), []string{`link "a"`, `"x"`, `"y"`, "one zone"}},
		{"endpoint twice", links(stack.LinkConfig{Name: "a", Endpoint: ep}, stack.LinkConfig{Name: "b", Endpoint: ep, Zone: "y"}), []string{`link "b"`, "Endpoint", `"a"`}},
		{"address without prefix", links(stack.LinkConfig{Name: "a", Endpoint: ep, Addresses: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("fd00::1"), -1)}}), []string{`link "a"`, "address", "prefix length"}},
		{"zero address", links(stack.LinkConfig{Name: "a", Endpoint: ep, Addresses: []netip.Prefix{{}}}), []string{`link "a"`, "address", "prefix length"}},
		{"IPv4-mapped", links(link("a", "", "::ffff:192.0.2.1/120")), []string{`link "a"`, "IPv4-mapped", "192.0.2.1/24"}},
		{"unspecified", links(link("a", "", "::/64")), []string{`link "a"`, "unicast"}},
		{"multicast", links(link("a", "", "ff02::1/64")), []string{`link "a"`, "ff02::1/64", "unicast"}},
		{"small MTU", links(stack.LinkConfig{Name: "a", Endpoint: channel.New(1, 1279, ""), Addresses: prefixes("fd00::1/64")}), []string{`link "a"`, "1279", "1280"}},
		{"address twice", links(link("a", "", "fd00::1/64", "fd00::1/128")), []string{`link "a"`, "fd00::1/128", "twice"}},
		{"overlap", links(link("a", "", "fd00::1/64"), link("b", "", "fd00::2/32")), []string{`link "b"`, "fd00::2/32", "overlaps fd00::1/64", `"a"`}},
		{"same link-local address", links(link("a", "", "fe80::1/64"), link("b", "", "fe80::1/64")), []string{`link "b"`, "overlaps"}},
		{"zone twice", stack.Config{Zones: []stack.ZoneConfig{{Name: "x"}, {Name: "x"}}}, []string{`zone "x"`, "twice"}},
		{"bad zone", stack.Config{Zones: []stack.ZoneConfig{{Name: "x", Defrag: defrag.ZoneConfig{High: 1, Low: 2}}}}, []string{`zone "x"`, "low", "2", "high", "1"}},
		{"bad engine", stack.Config{Engine: defrag.Config{Zone: defrag.ZoneConfig{Timeout: -time.Second}}}, []string{"engine", "timeout", "-1s"}},
		{"zero route", routes(stack.Route{Link: "a"}), []string{"route 0", "Prefix"}},
		{"unmasked route", routes(stack.Route{Prefix: prefix("fd00:9::1/64"), Link: "a"}), []string{"fd00:9::1/64", "want fd00:9::/64"}},
		{"IPv4-mapped route", routes(stack.Route{Prefix: prefix("::ffff:0:0/96"), Link: "a"}), []string{"::ffff:0.0.0.0/96", "IPv4-mapped"}},
		{"unknown link", routes(stack.Route{Prefix: prefix("::/0"), Link: "z"}), []string{"route ::/0", `Link "z"`, "unknown"}},
		{"other zone", routes(stack.Route{Prefix: prefix("::/0"), Link: "a", Zone: "lab"}), []string{"route ::/0", `Zone "lab"`, `link "a"`}},
		{"route twice", routes(stack.Route{Prefix: prefix("::/0"), Link: "a"}, stack.Route{Prefix: prefix("::/0"), Link: "c"}), []string{"route ::/0", "twice"}},
		{"another link's prefix", routes(stack.Route{Prefix: prefix("fd00:2::/64"), Link: "a"}), []string{"route fd00:2::/64", `"a"`, `"c"`, "fd00:2::1/64"}},
		{"gateway", routes(stack.Route{Prefix: prefix("::/0"), Link: "a", Gateway: netip.MustParseAddr("192.0.2.1")}), []string{"route ::/0", "Gateway 192.0.2.1", "family"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := stack.New(test.cfg)
			if err == nil {
				s.Close()
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not name %q", err, want)
				}
			}
		})
	}
	if ep.IsAttached() {
		t.Error("a refused configuration left an endpoint attached")
	}
}

// What is allowed beside what is refused.
func TestConfigAccepted(t *testing.T) {
	link := func(name, zone string, addresses ...string) stack.LinkConfig {
		l := stack.LinkConfig{Name: name, Zone: zone, Endpoint: channel.New(1, 1500, "")}
		for _, text := range addresses {
			l.Addresses = append(l.Addresses, netip.MustParsePrefix(text))
		}
		return l
	}
	prefix := netip.MustParsePrefix
	s := newStack(t, stack.Config{
		Links: []stack.LinkConfig{
			link("a", "", "fd00:1::1/64", "fd00:1::2/64", "fe80::1/64", "192.0.2.1/24"),
			link("b", "", "fd00:2::1/64", "fe80::2/64"),
			link("c", "lab", "fd00:1::1/64", "192.0.2.1/24"),
			link("d", "lab"),
			{Name: "small", Endpoint: channel.New(1, 576, ""), Addresses: []netip.Prefix{prefix("198.51.100.1/24")}},
		},
		Routes: []stack.Route{
			{Prefix: prefix("::/0"), Link: "a"},
			{Prefix: prefix("::/0"), Link: "c", Zone: "lab"},
			{Prefix: prefix("fd00:1::/96"), Link: "b", Gateway: netip.MustParseAddr("fd00:2::9")},
			{Prefix: prefix("0.0.0.0/0"), Link: "a"},
		},
		Zones: []stack.ZoneConfig{
			{Name: "lab", Defrag: defrag.ZoneConfig{Policy: defrag.Linux}},
			{Name: "empty"},
			{Name: "", Defrag: defrag.ZoneConfig{Timeout: time.Second}},
		},
	})
	for _, name := range []string{"", "lab", "empty"} {
		if z, ok := s.Zone(name); !ok || z.Name() != name {
			t.Errorf("zone %q: %v, %v", name, z, ok)
		}
	}
	if _, ok := s.Zone("nowhere"); ok {
		t.Error("there is a zone that nobody configured")
	}
	if got := len(s.Stats().Links); got != 5 {
		t.Errorf("statistics of %d links, want 5", got)
	}
}

// The zero configuration is a stack that reaches nobody.
func TestZeroConfig(t *testing.T) {
	s := newStack(t, stack.Config{})
	if _, err := s.DialContext(t.Context(), "udp", "[fd00::1]:7"); err == nil {
		t.Error("a stack without links reached somebody")
	}
	if stats := s.Stats(); len(stats.Zones) != 1 || len(stats.Links) != 0 {
		t.Errorf("statistics %+v, want one zone and no link", stats)
	}
}
