package filter_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/v6stack/v6stack/stack/filter"
)

// Numbers of the zones and links of tests.
const (
	normal, red, blue   = 0, 1, 2
	left, right, middle = 1, 2, 3
)

var (
	zones = map[string]uint32{"": normal, "red": red, "blue": blue}
	links = map[string]uint32{"left": left, "right": right, "middle": middle}

	alice = netip.MustParseAddr("2001:db8:a::1").As16()
	bob   = netip.MustParseAddr("2001:db8:b::1").As16()
	carol = netip.MustParseAddr("2001:db8:c::1").As16()
)

// TCP control bits.
const (
	fin = 1 << iota
	syn
	rst
	push
	ack
)

func config(rules ...filter.Rule) filter.Config {
	return filter.Config{Rules: rules, Zones: zones, Links: links}
}

func newFilter(t testing.TB, c filter.Config) *filter.Filter {
	t.Helper()
	f, err := filter.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// redToBlue is the rule that lets everything go from zone red to zone blue.
var redToBlue = filter.Rule{Name: "out", From: filter.InZone("red"), To: filter.InZone("blue"), Action: filter.Allow}

// packet returns a packet from alice, in zone red behind the left link, to
// bob, in zone blue behind the right one.
func packet(protocol uint8) filter.Packet {
	return filter.Packet{
		FromZone: red, FromLink: left, ToZone: blue, ToLink: right,
		Source: alice, Destination: bob,
		Protocol: protocol, Length: 100,
	}
}

func udp() filter.Packet {
	p := packet(filter.UDP)
	p.SourcePort, p.DestinationPort = 1000, 53
	return p
}

func tcp(flags uint8) filter.Packet {
	p := packet(filter.TCP)
	p.SourcePort, p.DestinationPort, p.TCPFlags = 1000, 80, flags
	return p
}

func icmp(kind uint8) filter.Packet {
	p := packet(filter.ICMPv6)
	p.ICMPType = kind
	if kind == 128 || kind == 129 {
		p.Identifier = 7
	}
	return p
}

// back returns p in the other direction, a reply if p is an echo request.
func back(p filter.Packet) filter.Packet {
	p.Source, p.Destination = p.Destination, p.Source
	p.SourcePort, p.DestinationPort = p.DestinationPort, p.SourcePort
	p.FromZone, p.ToZone = p.ToZone, p.FromZone
	p.FromLink, p.ToLink = p.ToLink, p.FromLink
	if p.Protocol == filter.ICMPv6 && p.ICMPType == 128 {
		p.ICMPType = 129
	}
	return p
}

// errorAbout returns an ICMPv6 error to p's source, from carol beyond where p
// went.
func errorAbout(p filter.Packet) filter.Packet {
	return filter.Packet{
		FromZone: p.ToZone, FromLink: p.ToLink, ToZone: p.FromZone, ToLink: p.FromLink,
		Source: carol, Destination: p.Source,
		Protocol: filter.ICMPv6, ICMPType: 2, Length: 200,
		Quote: filter.Quote{
			Kind:   filter.WholeQuote,
			Source: p.Source, Destination: p.Destination,
			Protocol:   p.Protocol,
			SourcePort: p.SourcePort, DestinationPort: p.DestinationPort,
			ICMPType: p.ICMPType, Identifier: p.Identifier,
		},
	}
}

// fragmentErrorAbout is errorAbout for a fragment of p without ports.
func fragmentErrorAbout(p filter.Packet) filter.Packet {
	e := errorAbout(p)
	e.Quote = filter.Quote{Kind: filter.FragmentQuote, Source: p.Source, Destination: p.Destination}
	return e
}

// at returns the time so long after the start.
func at(d time.Duration) tcpip.MonotonicTime { return tcpip.MonotonicTime{}.Add(d) }

// expect fails unless f's verdict of p is want.
func expect(t *testing.T, f *filter.Filter, p filter.Packet, now time.Duration, want filter.Verdict) {
	t.Helper()
	if got := f.Judge(&p, at(now)); got != want {
		t.Errorf("at %v: verdict %v %v %d, want %v %v %d", now, got.Action, got.Basis, got.Rule, want.Action, want.Basis, want.Rule)
	}
}

// Verdicts that tests expect.
var (
	denied      = filter.Verdict{Action: filter.Deny, Basis: filter.ByDefault, Rule: filter.NoRule}
	inside      = filter.Verdict{Action: filter.Allow, Basis: filter.ByDefault, Rule: filter.NoRule}
	insideFlow  = filter.Verdict{Action: filter.Allow, Basis: filter.ByFlow, Rule: filter.NoRule}
	passedError = filter.Verdict{Action: filter.Allow, Basis: filter.ByError, Rule: filter.NoRule}
)

func byRule(action filter.Action, rule int) filter.Verdict {
	return filter.Verdict{Action: action, Basis: filter.ByRule, Rule: rule}
}

func byFlow(rule int) filter.Verdict {
	return filter.Verdict{Action: filter.Allow, Basis: filter.ByFlow, Rule: rule}
}

func flows(f *filter.Filter, now time.Duration) []filter.Flow {
	return slices.Collect(f.Flows(at(now)))
}
