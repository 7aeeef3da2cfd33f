package control

import (
	"iter"
	"time"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
)

// A Source is what snapshots are taken of; *[stack.Stack] is one.
type Source interface {
	Stats() stack.Stats
	Flows() iter.Seq[filter.Flow]
}

var _ Source = (*stack.Stack)(nil)

// Identity is what a program tells of itself.
type Identity struct {
	Version string
	Started time.Time
}

// NewSnapshot returns stats, taken at the time taken, as a Snapshot. Times are
// in UTC.
func NewSnapshot(stats stack.Stats, who Identity, taken time.Time) Snapshot {
	s := Snapshot{
		Version: who.Version,
		Started: who.Started.UTC(),
		Taken:   taken.UTC(),
		Links:   make([]Link, len(stats.Links)),
		Zones:   make([]Zone, len(stats.Zones)),
		Filter:  newFilter(&stats.Filter),
	}
	for i := range stats.Links {
		s.Links[i] = newLink(&stats.Links[i])
	}
	for i := range stats.Zones {
		s.Zones[i] = newZone(&stats.Zones[i])
	}
	return s
}

// newLink returns the snapshot of one link.
func newLink(stats *stack.LinkStats) Link {
	link := Link{
		Name:          stats.Name,
		Zone:          ZoneName(stats.Zone),
		Up:            !stats.Down,
		MTU:           stats.MTU,
		Addresses:     make([]string, len(stats.Addresses)),
		Received:      Traffic(stats.Received),
		Sent:          Traffic(stats.Sent),
		ForwardedFrom: Traffic(stats.ForwardedFrom),
		ForwardedTo:   Traffic(stats.ForwardedTo),
		Drops:         make(map[string]uint64),
		ICMPErrors: ICMPErrors{
			Sent:       stats.Link.ErrorsSent,
			Suppressed: stats.Link.ErrorsSuppressed,
			Limited:    stats.Link.ErrorsLimited,
			Failed:     stats.Link.ErrorsFailed,
		},
	}
	for i, address := range stats.Addresses {
		link.Addresses[i] = address.String()
	}
	for reason, n := range LinkDrops(stats) {
		link.Drops[reason] = n
	}
	return link
}

// newZone returns the snapshot of one zone.
func newZone(stats *stack.ZoneStats) Zone {
	reassembly := &stats.Defrag
	zone := Zone{
		Name:        ZoneName(stats.Name),
		Overlap:     reassembly.Config.Policy.String(),
		Timeout:     reassembly.Config.Timeout.Seconds(),
		Queues:      reassembly.Queues,
		Fragments:   reassembly.Fragments,
		Memory:      Memory{reassembly.Bytes, reassembly.Config.High, reassembly.Config.Low},
		Received:    Received(&reassembly.Counts),
		Atomic:      reassembly.Packets[defrag.Atomic],
		Joined:      reassembly.Packets[defrag.Reassembled],
		Reassembled: reassembly.Datagrams,
		Drops:       make(map[string]uint64),
	}
	for verdict, n := range reassembly.Packets {
		if v := defrag.Verdict(verdict); v.IsDrop() {
			zone.Drops[v.String()] = n
		}
	}
	return zone
}

// newFilter returns the snapshot of the filter, nil if there is none.
func newFilter(stats *filter.Stats) *Filter {
	if stats.MaxFlows == 0 {
		return nil
	}
	f := &Filter{
		Rules:          make([]Rule, len(stats.Rules)),
		DefaultAllowed: newTraffic(stats.DefaultAllowed),
		DefaultDenied:  newTraffic(stats.DefaultDenied),
		FlowErrors:     newTraffic(stats.Errors),
		FlowTable: FlowTable{
			Live:    stats.Flows,
			Max:     stats.MaxFlows,
			Opened:  stats.Opened,
			Expired: stats.Expired,
			Evicted: stats.Evicted,
			Revoked: stats.Revoked,
		},
	}
	for i, rule := range stats.Rules {
		f.Rules[i] = Rule{i + 1, rule.Name, rule.Action.String(), newTraffic(rule.Count)}
	}
	return f
}

func newTraffic(count filter.Count) Traffic { return Traffic{count.Packets, count.Bytes} }
