package stack

import (
	"iter"
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/linkep"
	"github.com/v6stack/v6stack/stack/filter"
)

// Stats is a snapshot of a [Stack]. Its parts are read one after the other,
// while packets flow.
type Stats struct {
	// Links in the order of [Config].
	Links []LinkStats
	// Zones in the order of their ID; the default zone comes first.
	Zones []ZoneStats
	// Defrag counts for all zones together.
	Defrag defrag.Counts
	// Filter counts what the rules did; it is zero while there were never any.
	Filter filter.Stats
}

// LinkStats is a snapshot of one link.
type LinkStats struct {
	// Name and Zone of the link.
	Name, Zone string
	// MTU of the link, in octets.
	MTU uint32
	// Addresses of the stack on the link.
	Addresses []netip.Prefix
	// Received counts what the gVisor stack took from the link, datagrams and
	// large segments whole; Sent what it gave to the link, in fragments.
	Received, Sent Traffic
	// ForwardedFrom counts what the router took from the link, ForwardedTo what
	// it gave to the link, in fragments where packets came so, and large
	// segments as the packets they stand for.
	ForwardedFrom, ForwardedTo Traffic
	// Drops counts the packets from the link that the router dropped, by
	// reason. What a full or dead link did not take is counted at the link it
	// came from, in fragments.
	Drops [NumDropReasons]uint64
	// Down reports whether the link took no packets when it was last given
	// one to forward.
	Down bool
	// Link counts what the reassembling endpoint did besides reassembly.
	Link linkep.Stats
}

// Traffic counts packets and their octets.
type Traffic struct {
	Packets, Octets uint64
}

// ZoneStats is a snapshot of one zone.
type ZoneStats struct {
	// Name of the zone; the default zone's is empty.
	Name string
	// Defrag is how the zone reassembles.
	Defrag defrag.ZoneStats
}

// Stats returns a snapshot; the caller owns it. After Close, counters of the
// gVisor stacks are gone and Received and Sent read zero.
func (s *Stack) Stats() Stats {
	s.mu.Lock()
	zones, links, rules := slices.Clone(s.zones), slices.Clone(s.links), s.filter
	s.mu.Unlock()
	stats := Stats{Defrag: s.engine.Stats().Total}
	if rules != nil {
		stats.Filter = rules.Stats(s.clock.NowMonotonic())
	}
	for _, zone := range zones {
		reassembly, _ := s.engine.ZoneStats(zone.id)
		reassembly.Zone = zone.id
		stats.Zones = append(stats.Zones, ZoneStats{Name: zone.name, Defrag: reassembly})
	}
	for _, l := range links {
		stats.Links = append(stats.Links, l.stats())
	}
	return stats
}

// stats returns a snapshot of the link.
func (l *link) stats() LinkStats {
	stats := LinkStats{
		Name:      l.name,
		Zone:      l.zone.name,
		MTU:       l.endpoint.MTU(),
		Addresses: slices.Clone(l.addresses()),
		Link:      l.endpoint.Stats(),

		ForwardedFrom: l.counters.from.snapshot(),
		ForwardedTo:   l.counters.to.snapshot(),
		Down:          l.down.Load(),
	}
	for reason := range stats.Drops {
		stats.Drops[reason] = l.counters.drops[reason].Load()
	}
	if info, ok := l.zone.netstack.SingleNICInfo(l.nic); ok {
		stats.Received = traffic(info.Stats.Rx)
		stats.Sent = traffic(info.Stats.Tx)
	}
	return stats
}

// traffic returns gVisor's counters of one direction.
func traffic(counters tcpip.NICPacketStats) Traffic {
	return Traffic{Packets: counters.Packets.Value(), Octets: counters.Bytes.Value()}
}

// Flows yields the flows that the rules keep track of, in no order.
func (s *Stack) Flows() iter.Seq[filter.Flow] {
	s.mu.Lock()
	rules := s.filter
	s.mu.Unlock()
	if rules == nil {
		return func(func(filter.Flow) bool) {}
	}
	return rules.Flows(s.clock.NowMonotonic())
}
