package filter_test

import (
	"testing"
	"time"

	"github.com/v6stack/v6stack/stack/filter"
)

// Errors about packets of either direction pass, whatever the rules say of
// ICMPv6, and whoever sends them.
func TestErrorsPass(t *testing.T) {
	refuse := filter.Rule{Protocol: filter.ICMPv6, ICMPTypes: []uint8{1, 2, 3, 4}}
	for name, p := range map[string]filter.Packet{
		"UDP":   udp(),
		"TCP":   tcp(syn),
		"echo":  icmp(128),
		"other": packet(99),
	} {
		f := newFilter(t, config(refuse, redToBlue))
		for _, about := range []filter.Packet{p, back(p)} {
			expect(t, f, errorAbout(about), 0, byRule(filter.Deny, 0))
			expect(t, f, fragmentErrorAbout(about), 0, byRule(filter.Deny, 0))
		}
		expect(t, f, p, 0, byRule(filter.Allow, 1))
		for _, about := range []filter.Packet{p, back(p)} {
			expect(t, f, errorAbout(about), 0, passedError)
			expect(t, f, fragmentErrorAbout(about), 0, passedError)
		}
		flow := flows(f, 0)[0]
		if flow.There.Packets != 1 || flow.Back.Packets != 0 || flow.Replied {
			t.Errorf("%s: errors count as the flow's: %+v", name, flow)
		}
		if s := f.Stats(at(0)); s.Errors != (filter.Count{Packets: 4, Bytes: 800}) {
			t.Errorf("%s: errors %+v", name, s.Errors)
		}
	}
}

// Errors about what no flow is, though one is near.
func TestErrorsAboutStrangers(t *testing.T) {
	for name, spoil := range map[string]func(*filter.Packet){
		"no quote":             func(p *filter.Packet) { p.Quote = filter.Quote{} },
		"another port":         func(p *filter.Packet) { p.Quote.SourcePort++ },
		"another address":      func(p *filter.Packet) { p.Quote.Destination = carol },
		"another protocol":     func(p *filter.Packet) { p.Quote.Protocol = filter.TCP },
		"to another node":      func(p *filter.Packet) { p.Destination = carol },
		"from another zone":    func(p *filter.Packet) { p.FromZone = normal },
		"to another zone":      func(p *filter.Packet) { p.ToZone = normal },
		"an error about error": func(p *filter.Packet) { p.Quote.Protocol, p.Quote.ICMPType = filter.ICMPv6, 1 },
		"a fragment elsewhere": func(p *filter.Packet) {
			p.Quote = filter.Quote{Kind: filter.FragmentQuote, Source: alice, Destination: carol}
		},
		"a fragment's error to another": func(p *filter.Packet) {
			p.Quote.Kind, p.Destination = filter.FragmentQuote, carol
		},
	} {
		f := newFilter(t, config(redToBlue))
		expect(t, f, udp(), 0, byRule(filter.Allow, 0))
		p := errorAbout(udp())
		spoil(&p)
		if got := f.Judge(&p, at(0)); got != denied {
			t.Errorf("%s: verdict %v, want %v", name, got, denied)
		}
	}
}

// An error is no flow's once the flow has ended, and does not keep it alive.
func TestErrorsAfterTheEnd(t *testing.T) {
	for _, about := range []func(filter.Packet) filter.Packet{errorAbout, fragmentErrorAbout} {
		f := newFilter(t, config(redToBlue))
		expect(t, f, udp(), 0, byRule(filter.Allow, 0))
		expect(t, f, about(udp()), 30*time.Second-1, passedError)
		expect(t, f, about(udp()), 30*time.Second, denied)
		if n := len(flows(f, 0)); n != 0 {
			t.Errorf("%d flows", n)
		}
	}
}

// An error that takes other links than its flow asks the rules.
func TestErrorsOnOtherLinks(t *testing.T) {
	f := newFilter(t, config(filter.Rule{From: filter.OnLink("left"), To: filter.OnLink("right"), Action: filter.Allow}))
	expect(t, f, udp(), 0, byRule(filter.Allow, 0))
	p := errorAbout(udp())
	p.FromLink = middle
	expect(t, f, p, 0, denied)
}

// The last of several flows between two nodes ends what a fragment's error may
// do.
func TestFragmentErrorsCountFlows(t *testing.T) {
	f := newFilter(t, config(redToBlue))
	expect(t, f, udp(), 0, byRule(filter.Allow, 0))
	expect(t, f, packet(99), 0, byRule(filter.Allow, 0))
	expect(t, f, fragmentErrorAbout(udp()), 31*time.Second, passedError)
	expect(t, f, fragmentErrorAbout(udp()), 599*time.Second, passedError)
	expect(t, f, fragmentErrorAbout(udp()), 600*time.Second, denied)
}
