package filter_test

import (
	"net/netip"
	"slices"
	"time"

	"github.com/v6stack/v6stack/stack/filter"
)

// A model is a filter as simple as can be: a list of flows, searched from end
// to end.
type model struct {
	config  filter.Config
	flows   []*modelFlow
	now     time.Duration
	counter int
	evicted int
}

type modelFlow struct {
	opener  filter.Packet // the packet that opened the flow, on its latest links
	state   filter.State
	closed  [2]bool // whether the opener, and the other side, sent the first FIN
	replied bool
	rule    int
	opened  time.Duration
	last    time.Duration
	touched int // numbers packets
	counts  [2]filter.Count
}

// ends returns when the flow does.
func (m *modelFlow) ends() time.Duration { return m.last + m.state.Timeout(m.replied) }

// matchModel is the rules' verdict.
func (m *model) match(p filter.Packet) (filter.Verdict, bool) {
	holds := func(prefix netip.Prefix, a [16]byte) bool {
		return prefix == netip.Prefix{} || prefix.Contains(netip.AddrFrom16(a))
	}
	selects := func(s filter.Selector, zone, link uint32) bool {
		if s.Zone != nil {
			return zones[*s.Zone] == zone
		}
		return s.Link == "" || links[s.Link] == link
	}
	listed := func(ranges []filter.PortRange, port uint16) bool {
		return len(ranges) == 0 || slices.ContainsFunc(ranges, func(r filter.PortRange) bool { return port >= r.First && port <= r.Last })
	}
	for i, r := range m.config.Rules {
		if selects(r.From, p.FromZone, p.FromLink) && selects(r.To, p.ToZone, p.ToLink) &&
			holds(r.Source, p.Source) && holds(r.Destination, p.Destination) &&
			(r.Protocol <= 0 || r.Protocol == int(p.Protocol)) &&
			listed(r.SourcePorts, p.SourcePort) && listed(r.DestinationPorts, p.DestinationPort) &&
			(len(r.ICMPTypes) == 0 || slices.Contains(r.ICMPTypes, p.ICMPType)) {
			return byRule(r.Action, i), r.Stateless
		}
	}
	if p.FromZone == p.ToZone {
		return inside, false
	}
	return denied, false
}

// sameFlow reports whether p goes the way of the packet that opened a flow.
func sameFlow(opener, p filter.Packet) bool {
	return p.Source == opener.Source && p.Destination == opener.Destination &&
		p.FromZone == opener.FromZone && p.ToZone == opener.ToZone &&
		p.SourcePort == opener.SourcePort && p.DestinationPort == opener.DestinationPort &&
		p.Protocol == opener.Protocol && p.Identifier == opener.Identifier &&
		(p.Protocol != filter.ICMPv6 || p.ICMPType == 128)
}

// find returns the flow of p and whether p is a reply.
func (m *model) find(p filter.Packet) (*modelFlow, bool) {
	for _, f := range m.flows {
		if sameFlow(f.opener, p) {
			return f, false
		}
	}
	turned := back(p)
	if p.Protocol == filter.ICMPv6 {
		// No reply to itself is known: directions cannot be told.
		itself := p.Source == p.Destination && p.FromZone == p.ToZone
		if turned.ICMPType = 128; p.ICMPType != 129 || itself {
			return nil, false
		}
	}
	for _, f := range m.flows {
		if sameFlow(f.opener, turned) {
			return f, true
		}
	}
	return nil, false
}

// permitted is the rule that lets the flow go the way of p, if one does.
func (m *model) permitted(f *modelFlow, fromLink, toLink uint32) (int, bool) {
	opener := f.opener
	opener.FromLink, opener.ToLink = fromLink, toLink
	v, stateless := m.match(opener)
	return v.Rule, v.Action == filter.Allow && !stateless
}

func (m *model) expire(now time.Duration) {
	m.now = max(m.now, now)
	m.flows = slices.DeleteFunc(m.flows, func(f *modelFlow) bool { return f.ends() <= m.now })
}

// judge is Judge.
func (m *model) judge(p filter.Packet, now time.Duration) filter.Verdict {
	m.expire(now)
	if p.Protocol == filter.ICMPv6 && p.ICMPType < 128 {
		if m.quoted(p) {
			return passedError
		}
		v, _ := m.match(p)
		return v
	}
	f, reply := m.find(p)
	if f == nil {
		return m.open(p)
	}
	lone := p.Protocol == filter.TCP && p.TCPFlags&(syn|ack|fin|rst) == syn
	over := f.state == filter.Closed || f.state == filter.TimeWait
	if lone && (over || reply && f.state != filter.SynSent) {
		if v, stateless := m.match(p); !over || v.Action != filter.Allow || stateless {
			return v
		}
		m.flows = slices.DeleteFunc(m.flows, func(g *modelFlow) bool { return g == f })
		return m.open(p)
	}
	fromLink, toLink := p.FromLink, p.ToLink
	if reply {
		fromLink, toLink = toLink, fromLink
	}
	if fromLink != f.opener.FromLink || toLink != f.opener.ToLink {
		rule, ok := m.permitted(f, fromLink, toLink)
		if !ok {
			v, _ := m.match(p)
			return v
		}
		f.rule, f.opener.FromLink, f.opener.ToLink = rule, fromLink, toLink
	}
	m.follow(f, p, reply)
	return byFlow(f.rule)
}

// quoted reports whether an error is about a flow.
func (m *model) quoted(p filter.Packet) bool {
	q := p.Quote
	if q.Kind == filter.NoQuote || q.Source != p.Destination {
		return false
	}
	if q.Kind == filter.FragmentQuote {
		return slices.ContainsFunc(m.flows, func(f *modelFlow) bool {
			o := f.opener
			return o.Source == q.Source && o.Destination == q.Destination && o.FromZone == p.ToZone && o.ToZone == p.FromZone ||
				o.Source == q.Destination && o.Destination == q.Source && o.FromZone == p.FromZone && o.ToZone == p.ToZone
		})
	}
	f, reply := m.find(filter.Packet{
		FromZone: p.ToZone, ToZone: p.FromZone,
		Source: q.Source, Destination: q.Destination, Protocol: q.Protocol,
		SourcePort: q.SourcePort, DestinationPort: q.DestinationPort,
		ICMPType: q.ICMPType, Identifier: q.Identifier,
	})
	if f == nil {
		return false
	}
	fromLink, toLink := p.ToLink, p.FromLink
	if reply {
		fromLink, toLink = toLink, fromLink
	}
	if fromLink == f.opener.FromLink && toLink == f.opener.ToLink {
		return true
	}
	_, ok := m.permitted(f, fromLink, toLink)
	return ok
}

// open asks the rules about p, and opens a flow for it.
func (m *model) open(p filter.Packet) filter.Verdict {
	v, stateless := m.match(p)
	if v.Action != filter.Allow || stateless {
		return v
	}
	f := &modelFlow{opener: p, rule: v.Rule, opened: m.now, last: m.now}
	switch p.Protocol {
	case filter.TCP:
		switch p.TCPFlags & (syn | ack | fin | rst) {
		case syn:
			f.state = filter.SynSent
		case ack:
			f.state = filter.Established
		case fin | ack:
			f.state, f.closed[0] = filter.FinWait, true
		default:
			return v
		}
	case filter.UDP:
		f.state = filter.Datagrams
	case filter.ICMPv6:
		if f.state = filter.Echo; p.ICMPType != 128 {
			return v
		}
	default:
		f.state = filter.Other
	}
	m.makeRoom(m.config.MaxFlows - 1)
	m.touch(f, p, 0)
	m.flows = append(m.flows, f)
	return v
}

// makeRoom evicts flows until so many are left.
func (m *model) makeRoom(most int) {
	for len(m.flows) > most {
		victim := slices.MinFunc(m.flows, func(a, b *modelFlow) int {
			rank := func(f *modelFlow) []int {
				answered := 0
				if f.replied {
					answered = 1
				}
				return []int{answered, int(f.ends()), int(f.state), f.touched}
			}
			return slices.Compare(rank(a), rank(b))
		})
		m.flows = slices.DeleteFunc(m.flows, func(f *modelFlow) bool { return f == victim })
		m.evicted++
	}
}

func (m *model) touch(f *modelFlow, p filter.Packet, way int) {
	m.counter++
	f.touched, f.last = m.counter, m.now
	f.counts[way].Add(filter.Count{Packets: 1, Bytes: uint64(p.Length)})
}

// follow takes one packet more of the flow.
func (m *model) follow(f *modelFlow, p filter.Packet, reply bool) {
	way := 0
	if reply {
		way, f.replied = 1, true
	}
	m.touch(f, p, way)
	if p.Protocol == filter.UDP && f.replied && m.now > f.opened+2*time.Second {
		f.state = filter.Stream
	}
	if p.Protocol == filter.TCP {
		f.tcp(p.TCPFlags&(syn|ack|fin|rst), way)
	}
}

// steps of TCP: from a state, by flags, whose sender is the opener (o), the
// other side (r), who sent the first FIN (c), who did not (d), or any (*).
var steps = map[filter.State]map[string]filter.State{
	filter.SynSent:     {"r syn": filter.SynReceived, "r synack": filter.SynReceived, "* finack": filter.FinWait},
	filter.SynReceived: {"o synack": filter.Established, "o ack": filter.Established, "* finack": filter.FinWait},
	filter.Established: {"* finack": filter.FinWait},
	filter.FinWait:     {"d ack": filter.CloseWait, "d finack": filter.LastAck},
	filter.CloseWait:   {"d finack": filter.LastAck},
	filter.LastAck:     {"c ack": filter.TimeWait},
}

func (f *modelFlow) tcp(flags uint8, way int) {
	name := map[uint8]string{syn: "syn", syn | ack: "synack", ack: "ack", fin | ack: "finack"}[flags]
	if flags&^ack == rst {
		f.state = filter.Closed
	}
	who := []string{"*", "or"[way : way+1], "d"}
	if f.closed[way] {
		who[2] = "c"
	}
	for _, w := range who {
		if state, ok := steps[f.state][w+" "+name]; ok {
			if state == filter.FinWait {
				f.closed[way] = true
			}
			f.state = state
			return
		}
	}
}

// replace is Replace.
func (m *model) replace(c filter.Config) {
	m.config = c
	m.flows = slices.DeleteFunc(m.flows, func(f *modelFlow) bool {
		rule, ok := m.permitted(f, f.opener.FromLink, f.opener.ToLink)
		f.rule = rule
		return !ok
	})
	m.expire(m.now)
	m.makeRoom(c.MaxFlows)
}

// public returns the flow as tables show it.
func (f *modelFlow) public(now time.Duration) filter.Flow {
	o := f.opener
	return filter.Flow{
		FromZone: o.FromZone, FromLink: o.FromLink, ToZone: o.ToZone, ToLink: o.ToLink,
		Source: o.Source, Destination: o.Destination, Protocol: o.Protocol,
		SourcePort: o.SourcePort, DestinationPort: o.DestinationPort, Identifier: o.Identifier,
		State: f.state, Replied: f.replied, Rule: f.rule,
		Age: now - f.opened, Expires: f.ends() - now,
		There: f.counts[0], Back: f.counts[1],
	}
}
