package filter_test

import (
	"testing"
	"time"

	"github.com/v6stack/v6stack/stack/filter"
)

// Replace keeps the flows that the new rules would open.
func TestReplaceKeepsWhatIsAllowed(t *testing.T) {
	only := func(protocol int) filter.Rule {
		r := redToBlue
		r.Protocol = protocol
		return r
	}
	f := newFilter(t, config(only(filter.UDP), only(filter.TCP)))
	expect(t, f, udp(), 0, byRule(filter.Allow, 0))
	expect(t, f, tcp(syn), 0, byRule(filter.Allow, 1))

	if err := f.Replace(config(only(99), only(filter.UDP))); err != nil {
		t.Fatal(err)
	}
	expect(t, f, back(udp()), 0, byFlow(1)) // The rule's number is the new one.
	expect(t, f, back(tcp(syn|ack)), 0, denied)
	expect(t, f, fragmentErrorAbout(udp()), 0, passedError)
	if s := f.Stats(at(0)); s.Revoked != 1 || s.Flows != 1 {
		t.Errorf("%+v", s)
	}

	stateless := only(filter.UDP)
	stateless.Stateless = true
	if err := f.Replace(config(stateless)); err != nil {
		t.Fatal(err)
	}
	expect(t, f, back(udp()), 0, denied)
	expect(t, f, fragmentErrorAbout(udp()), 0, denied)
}

// The default allows flows, too.
func TestReplaceKeepsDefault(t *testing.T) {
	f := newFilter(t, filter.Config{})
	p := udp()
	p.ToZone = red
	expect(t, f, p, 0, inside)
	if err := f.Replace(config(redToBlue)); err != nil {
		t.Fatal(err)
	}
	expect(t, f, back(p), 0, insideFlow)
	if err := f.Replace(config(filter.Rule{Action: filter.Reject})); err != nil {
		t.Fatal(err)
	}
	expect(t, f, back(p), 0, byRule(filter.Reject, 0))
}

func TestReplaceRefusesAndKeeps(t *testing.T) {
	f := newFilter(t, config(redToBlue))
	expect(t, f, udp(), 0, byRule(filter.Allow, 0))
	if err := f.Replace(config(filter.Rule{}, filter.Rule{From: filter.InZone("green")})); err == nil {
		t.Error("a rule naming no zone is taken")
	}
	expect(t, f, back(udp()), 0, byFlow(0))
	expect(t, f, tcp(syn), 0, byRule(filter.Allow, 0))
}

func TestReplaceShrinks(t *testing.T) {
	f := limited(t, 65536)
	for n := range 1000 {
		p := numbered(udp(), n)
		f.Judge(&p, at(0))
	}
	c := config(redToBlue)
	c.MaxFlows = 160
	if err := f.Replace(c); err != nil {
		t.Fatal(err)
	}
	if s := f.Stats(at(0)); s.Flows != 160 || s.MaxFlows != 160 || s.Evicted != 840 {
		t.Errorf("%+v", s)
	}
}

// What has expired goes first when the table shrinks.
func TestReplaceShrinksTheDead(t *testing.T) {
	f := limited(t, 2)
	expect(t, f, numbered(udp(), 1), 0, byRule(filter.Allow, 0))
	expect(t, f, back(numbered(udp(), 1)), 0, byFlow(0))
	expect(t, f, numbered(udp(), 2), 29*time.Second, byRule(filter.Allow, 0))
	expect(t, f, back(tcp(syn)), 31*time.Second, denied)
	c := config(redToBlue)
	c.MaxFlows = 1
	if err := f.Replace(c); err != nil {
		t.Fatal(err)
	}
	expect(t, f, back(numbered(udp(), 2)), 31*time.Second, byFlow(0))
}

// Counters of rules stay with rules that stay, wherever they stand.
func TestCounters(t *testing.T) {
	web := redToBlue
	web.Name, web.Protocol, web.DestinationPorts = "web", filter.TCP, []filter.PortRange{{First: 80, Last: 80}}
	refuse := filter.Rule{Name: "no", Protocol: 99, Action: filter.Reject}
	f := newFilter(t, config(web, refuse, refuse))
	judge := func(packets ...filter.Packet) {
		for _, p := range packets {
			f.Judge(&p, at(0))
		}
	}
	within := udp()
	within.ToZone = red
	judge(tcp(syn), back(tcp(syn|ack)), tcp(ack), packet(99), within, udp(), udp(), errorAbout(tcp(ack)))
	check := func(want ...filter.RuleStats) {
		t.Helper()
		s := f.Stats(at(0))
		if len(s.Rules) != len(want) {
			t.Fatalf("%d rules, want %d", len(s.Rules), len(want))
		}
		for i := range want {
			if s.Rules[i] != want[i] {
				t.Errorf("rule %d: %+v, want %+v", i, s.Rules[i], want[i])
			}
		}
		if s.DefaultAllowed.Packets != 1 || s.DefaultDenied.Packets != 2 || s.Errors.Packets != 1 || s.Opened != 2 {
			t.Errorf("%+v", s)
		}
	}
	webStats := filter.RuleStats{Name: "web", Action: filter.Allow, Count: filter.Count{Packets: 3, Bytes: 300}}
	refuseStats := filter.RuleStats{Name: "no", Action: filter.Reject, Count: filter.Count{Packets: 1, Bytes: 100}}
	fresh := refuseStats
	fresh.Count = filter.Count{}
	check(webStats, refuseStats, fresh)

	other := refuse
	other.Source = redToBlue.Source
	other.Stateless = true
	if err := f.Replace(config(other, refuse, web)); err != nil {
		t.Fatal(err)
	}
	check(fresh, refuseStats, webStats)

	// The first of two alike is the first.
	if err := f.Replace(config(refuse, refuse, web)); err != nil {
		t.Fatal(err)
	}
	check(refuseStats, fresh, webStats)
}
