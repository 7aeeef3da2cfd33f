package control_test

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/control"
	"github.com/v6stack/v6stack/linkep"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
)

var (
	began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now   = began.Add(90 * time.Minute)
	self  = control.Identity{Version: "v1.2.3", Started: began}
)

// A fixture is a source that always says the same.
type fixture struct {
	stats stack.Stats
	flows []filter.Flow
}

func (f fixture) Stats() stack.Stats { return f.stats }

func (f fixture) Flows() iter.Seq[filter.Flow] { return slices.Values(f.flows) }

// example returns a router of two links in two zones, with rules. No two
// counters are alike.
func example() fixture {
	left := stack.LinkStats{
		Name: "left", Zone: "red", MTU: 1500,
		Addresses:     []netip.Prefix{netip.MustParsePrefix("2001:db8:a::ff/64"), netip.MustParsePrefix("fe80::ff/64")},
		Received:      stack.Traffic{Packets: 11, Octets: 1100},
		Sent:          stack.Traffic{Packets: 12, Octets: 1200},
		ForwardedFrom: stack.Traffic{Packets: 13, Octets: 1300},
		ForwardedTo:   stack.Traffic{Packets: 14, Octets: 1400},
		Link: linkep.Stats{
			Filtered: 21, NeighborDiscovery: 22, Hidden: 23, BadChecksum: 24, Detached: 25,
			ErrorsSent: 26, ErrorsSuppressed: 27, ErrorsLimited: 28, ErrorsFailed: 29,
		},
	}
	for reason := range left.Drops {
		left.Drops[reason] = 200 + uint64(reason)
	}
	red := stack.ZoneStats{Name: "red", Defrag: defrag.ZoneStats{
		Zone:   1,
		Config: defrag.ZoneConfig{Policy: defrag.RFC5722, High: 1 << 20, Low: 3 << 18, Timeout: 1500 * time.Millisecond},
		Counts: defrag.Counts{Datagrams: 31, Queues: 32, Fragments: 33, Bytes: 34000},
	}}
	for verdict := range red.Defrag.Packets {
		red.Defrag.Packets[verdict] = 300 + uint64(verdict)
	}
	return fixture{
		stats: stack.Stats{
			Links: []stack.LinkStats{left, {Name: "right", MTU: 9000, Down: true}},
			Zones: []stack.ZoneStats{{}, red},
			Filter: filter.Stats{
				Rules: []filter.RuleStats{
					{Name: "dns", Action: filter.Allow, Count: filter.Count{Packets: 41, Bytes: 4100}},
					{Action: filter.Reject, Count: filter.Count{Packets: 42, Bytes: 4200}},
				},
				DefaultAllowed: filter.Count{Packets: 43, Bytes: 4300},
				DefaultDenied:  filter.Count{Packets: 44, Bytes: 4400},
				Errors:         filter.Count{Packets: 45, Bytes: 4500},
				Flows:          46, MaxFlows: 65536,
				Turnover: filter.Turnover{Opened: 47, Expired: 48, Evicted: 49, Revoked: 50},
			},
		},
		flows: exampleFlows(),
	}
}

// exampleFlows returns a flow of each kind of protocol.
func exampleFlows() []filter.Flow {
	flow := filter.Flow{
		FromZone:    1,
		Source:      netip.MustParseAddr("2001:db8:a::1").As16(),
		Destination: netip.MustParseAddr("2001:db8:b::1").As16(),
		Rule:        0, Age: 1500 * time.Millisecond, Expires: 30 * time.Second,
		There: filter.Count{Packets: 61, Bytes: 6100},
		Back:  filter.Count{Packets: 62, Bytes: 6200},
	}
	udp, tcp, echo, other := flow, flow, flow, flow
	udp.Protocol, udp.SourcePort, udp.DestinationPort, udp.State = filter.UDP, 5353, 53, filter.Stream
	tcp.Protocol, tcp.SourcePort, tcp.DestinationPort, tcp.State = filter.TCP, 4000, 443, filter.Established
	echo.Protocol, echo.Identifier, echo.State, echo.Rule = filter.ICMPv6, 77, filter.Echo, filter.NoRule
	other.Protocol, other.State = 132, filter.Other
	return []filter.Flow{udp, tcp, echo, other}
}
