package filter_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/v6stack/v6stack/stack/filter"
)

func TestConfigRefused(t *testing.T) {
	ports := []filter.PortRange{{First: 9, Last: 8}}
	for _, c := range []struct {
		rule filter.Rule
		want string
	}{
		{filter.Rule{From: filter.InZone("green")}, `rule 2: from zone "green": there is no such zone`},
		{filter.Rule{To: filter.OnLink("up")}, `rule 2: to link "up": there is no such link`},
		{filter.Rule{Name: "both", From: filter.Selector{Zone: new(string), Link: "left"}}, `rule 2 ("both"): from zone "" and link "left", want one of them`},
		{filter.Rule{Protocol: 256}, "rule 2: protocol 256, want 1 to 255, or -1 for any"},
		{filter.Rule{Protocol: -2}, "rule 2: protocol -2, want"},
		{filter.Rule{Action: 3}, "rule 2: action 3, want allow, deny or reject"},
		{filter.Rule{Source: netip.MustParsePrefix("10.0.0.0/8")}, "rule 2: source 10.0.0.0/8, want an IPv6 prefix"},
		{filter.Rule{Source: netip.MustParsePrefix("::ffff:0:0/96")}, "want an IPv6 prefix"},
		{filter.Rule{Destination: netip.PrefixFrom(netip.IPv6Loopback(), 129)}, "rule 2: destination invalid Prefix, want an IPv6 prefix"},
		{filter.Rule{Destination: netip.MustParsePrefix("2001:db8::1/64")}, "rule 2: destination 2001:db8::1/64 has bits beyond its length, want 2001:db8::/64"},
		{filter.Rule{Protocol: filter.UDP, SourcePorts: ports}, "rule 2: source ports 9-8, want the lower port first"},
		{filter.Rule{Protocol: filter.ICMPv6, DestinationPorts: ports}, "rule 2: destination ports need protocol tcp or udp"},
		{filter.Rule{SourcePorts: ports}, "rule 2: source ports need protocol tcp or udp"},
		{filter.Rule{Protocol: filter.UDP, ICMPTypes: []uint8{1}}, "rule 2: ICMPv6 types need protocol icmpv6"},
	} {
		bad := config(redToBlue, c.rule)
		if _, err := filter.New(bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Check: error %v, want %q", err, c.want)
		}
	}
	for _, n := range []int{-1, 1<<26 + 1} {
		c := filter.Config{MaxFlows: n}
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), "MaxFlows") {
			t.Errorf("MaxFlows %d: error %v", n, err)
		}
	}
	c := config(redToBlue)
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

// Each rule, alone and allowing, is asked about packets that differ in one
// thing from one that it matches.
func TestRuleMatches(t *testing.T) {
	change := func(p filter.Packet, how func(*filter.Packet)) filter.Packet {
		how(&p)
		return p
	}
	otherSource := func(p *filter.Packet) { p.Source = carol }
	port := func(port uint16) func(*filter.Packet) {
		return func(p *filter.Packet) { p.DestinationPort = port }
	}
	for name, c := range map[string]struct {
		rule    filter.Rule
		matches []filter.Packet
		not     []filter.Packet
	}{
		"everything": {
			rule:    filter.Rule{},
			matches: []filter.Packet{udp(), tcp(syn), icmp(128), packet(99), back(udp())},
		},
		"zones": {
			rule:    redToBlue,
			matches: []filter.Packet{udp(), tcp(syn), change(udp(), func(p *filter.Packet) { p.FromLink = middle })},
			not: []filter.Packet{
				back(udp()),
				change(udp(), func(p *filter.Packet) { p.FromZone = normal }),
				change(udp(), func(p *filter.Packet) { p.ToZone = normal }),
			},
		},
		"default zone": {
			rule:    filter.Rule{From: filter.InZone("")},
			matches: []filter.Packet{change(udp(), func(p *filter.Packet) { p.FromZone = normal })},
			not:     []filter.Packet{udp()},
		},
		"links": {
			rule:    filter.Rule{From: filter.OnLink("left"), To: filter.OnLink("right")},
			matches: []filter.Packet{udp(), change(udp(), func(p *filter.Packet) { p.FromZone = normal })},
			not: []filter.Packet{
				back(udp()),
				change(udp(), func(p *filter.Packet) { p.FromLink = middle }),
				change(udp(), func(p *filter.Packet) { p.ToLink = middle }),
			},
		},
		"source /48": {
			rule:    filter.Rule{Source: netip.MustParsePrefix("2001:db8:a::/48")},
			matches: []filter.Packet{udp(), change(udp(), func(p *filter.Packet) { p.Source[6] = 0xff })},
			not:     []filter.Packet{change(udp(), otherSource), change(udp(), func(p *filter.Packet) { p.Source[0] = 0 })},
		},
		"source /64": {
			rule:    filter.Rule{Source: netip.MustParsePrefix("2001:db8:a::/64")},
			matches: []filter.Packet{udp(), change(udp(), func(p *filter.Packet) { p.Source[8] = 0xff })},
			not:     []filter.Packet{change(udp(), func(p *filter.Packet) { p.Source[7] = 1 })},
		},
		"destination /127": {
			rule:    filter.Rule{Destination: netip.MustParsePrefix("2001:db8:b::/127")},
			matches: []filter.Packet{udp(), change(udp(), func(p *filter.Packet) { p.Destination[15] = 0 })},
			not:     []filter.Packet{change(udp(), func(p *filter.Packet) { p.Destination[15] = 2 }), change(udp(), func(p *filter.Packet) { p.Destination[8] = 1 })},
		},
		"destination /128": {
			rule:    filter.Rule{Destination: netip.MustParsePrefix("2001:db8:b::1/128")},
			matches: []filter.Packet{udp()},
			not:     []filter.Packet{change(udp(), func(p *filter.Packet) { p.Destination[15] = 0 })},
		},
		"all addresses": {
			rule:    filter.Rule{Source: netip.MustParsePrefix("::/0"), Destination: netip.MustParsePrefix("::/0")},
			matches: []filter.Packet{udp(), back(udp())},
		},
		"protocol": {
			rule:    filter.Rule{Protocol: 99},
			matches: []filter.Packet{packet(99)},
			not:     []filter.Packet{packet(98), udp()},
		},
		"any protocol": {
			rule:    filter.Rule{Protocol: filter.AnyProtocol},
			matches: []filter.Packet{packet(99), packet(0), udp()},
		},
		"ports": {
			rule:    filter.Rule{Protocol: filter.UDP, DestinationPorts: []filter.PortRange{{First: 53, Last: 53}, {First: 8000, Last: 8100}}},
			matches: []filter.Packet{udp(), change(udp(), port(8000)), change(udp(), port(8050)), change(udp(), port(8100))},
			not:     []filter.Packet{change(udp(), port(52)), change(udp(), port(54)), change(udp(), port(7999)), change(udp(), port(8101)), change(tcp(syn), port(53)), back(udp())},
		},
		"source ports": {
			rule:    filter.Rule{Protocol: filter.TCP, SourcePorts: []filter.PortRange{{First: 0, Last: 1000}}},
			matches: []filter.Packet{tcp(syn)},
			not:     []filter.Packet{change(tcp(syn), func(p *filter.Packet) { p.SourcePort = 1001 }), udp()},
		},
		"ICMPv6 types": {
			rule:    filter.Rule{Protocol: filter.ICMPv6, ICMPTypes: []uint8{1, 64, 128, 255}},
			matches: []filter.Packet{icmp(1), icmp(64), icmp(128), icmp(255)},
			not:     []filter.Packet{icmp(0), icmp(2), icmp(65), icmp(129), icmp(254), udp()},
		},
	} {
		for _, action := range []filter.Action{filter.Allow, filter.Deny, filter.Reject} {
			c.rule.Action = action
			for _, p := range c.matches {
				if got, want := newFilter(t, config(c.rule)).Judge(&p, at(0)), byRule(action, 0); got != want {
					t.Errorf("%s: %+v: verdict %v, want %v", name, p, got, want)
				}
			}
			for _, p := range c.not {
				if got := newFilter(t, config(c.rule)).Judge(&p, at(0)); got != denied {
					t.Errorf("%s: %+v: verdict %v, want %v", name, p, got, denied)
				}
			}
		}
	}
}

func TestFirstMatchWins(t *testing.T) {
	dns := redToBlue
	dns.Protocol, dns.DestinationPorts, dns.Action = filter.UDP, []filter.PortRange{{First: 53, Last: 53}}, filter.Reject
	f := newFilter(t, config(dns, redToBlue, filter.Rule{}))
	expect(t, f, udp(), 0, byRule(filter.Reject, 0))
	expect(t, f, tcp(syn), 0, byRule(filter.Allow, 1))
	expect(t, f, back(udp()), 0, byRule(filter.Deny, 2))
}

func TestDefaults(t *testing.T) {
	f := newFilter(t, filter.Config{})
	expect(t, f, udp(), 0, denied)
	within := udp()
	within.ToZone = red
	expect(t, f, within, 0, inside)
	expect(t, f, back(within), 0, insideFlow)
}

// What the configuration pointed to may change afterwards.
func TestConfigIsCopied(t *testing.T) {
	zone, ports := "red", []filter.PortRange{{First: 53, Last: 53}}
	rules := []filter.Rule{{From: filter.Selector{Zone: &zone}, Protocol: filter.UDP, DestinationPorts: ports, Action: filter.Allow}}
	f := newFilter(t, config(rules...))
	zone, ports[0], rules[0].Name = "blue", filter.PortRange{}, "other"
	expect(t, f, udp(), 0, byRule(filter.Allow, 0))
	if name := f.Stats(at(0)).Rules[0].Name; name != "" {
		t.Errorf("name %q, want none", name)
	}
}

func TestNames(t *testing.T) {
	for want, got := range map[string]interface{ String() string }{
		"allow":        filter.Allow,
		"deny":         filter.Deny,
		"reject":       filter.Reject,
		"Action(7)":    filter.Action(7),
		"default":      filter.ByDefault,
		"rule":         filter.ByRule,
		"flow":         filter.ByFlow,
		"error":        filter.ByError,
		"Basis(7)":     filter.Basis(7),
		"time-wait":    filter.TimeWait,
		"State(99)":    filter.State(99),
		"any":          filter.Selector{},
		"zone:red":     filter.InZone("red"),
		"zone:default": filter.InZone(""),
		"link:left":    filter.OnLink("left"),
		"53":           filter.PortRange{First: 53, Last: 53},
		"8000-8100":    filter.PortRange{First: 8000, Last: 8100},
	} {
		if got.String() != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, want := range []filter.Action{filter.Allow, filter.Deny, filter.Reject} {
		text, err := want.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got filter.Action
		if err := got.UnmarshalText(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if d := filter.State(99).Timeout(true); d != 0 {
		t.Errorf("State(99) lasts %v", d)
	}
	if _, err := filter.Action(3).MarshalText(); err == nil {
		t.Error("Action(3) has a name")
	}
	if err := new(filter.Action).UnmarshalText([]byte("drop")); err == nil {
		t.Error("drop is an action")
	}
}
