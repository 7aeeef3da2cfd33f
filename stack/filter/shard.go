package filter

import "sync"

// reapBatch is how many expired flows make room each time one is opened. More
// than one, so that the dead never gather.
const reapBatch = 4

// A shard is a part of the flow table.
type shard struct {
	pairs *pairs

	mu       sync.Mutex // stands above those of pairs; guards all below
	rules    *ruleset
	now      int64 // the latest time there was
	limit    int   // of flows, at least 1
	flows    table[key, flow]
	order    order
	tally    tally
	turnover Turnover
	_        [64]byte // keeps neighbours' locks apart
}

// A subject is a packet being judged.
type subject struct {
	packet *Packet
	// key is that of the packet's flow, or of the flow it is an error about.
	key  key
	hash uint64
	from uint8 // the end in key that the packet, or its quote, comes from
	// links are those of the key's ends.
	links [2]uint32
	now   int64
}

// judge decides about a packet.
func (s *shard) judge(x *subject) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advanceLocked(x)
	i := s.findLocked(x)
	if i != 0 && !s.restartsLocked(i, x) {
		if rule, ok := s.permitsLocked(i, x); ok {
			return s.followLocked(i, x, rule)
		}
	}
	return s.askLocked(i, x)
}

// judgeError decides about an ICMPv6 error whose quote is of x's flow.
func (s *shard) judgeError(x *subject) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advanceLocked(x)
	if i := s.findLocked(x); i != 0 {
		if _, ok := s.permitsLocked(i, x); ok {
			return s.passErrorLocked(x)
		}
	}
	return s.askLocked(0, x)
}

// passError counts an ICMPv6 error that passes.
func (s *shard) passError(x *subject) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passErrorLocked(x)
}

func (s *shard) passErrorLocked(x *subject) Verdict {
	s.tally.errors.add(x.packet)
	return Verdict{Allow, ByError, NoRule}
}

// ask decides about a packet by rules alone.
func (s *shard) ask(x *subject) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.askLocked(0, x)
}

// advanceLocked keeps time from going back, as it may when packets overtake
// each other between a clock and here: lists are in order of time.
func (s *shard) advanceLocked(x *subject) {
	s.now = max(s.now, x.now)
	x.now = s.now
}

// findLocked returns the number of x's flow, or 0. A flow that has expired is
// removed.
func (s *shard) findLocked(x *subject) int32 {
	i := s.flows.find(&x.key, x.hash)
	if i != 0 && s.flows.entries[i].value.deadline <= s.now {
		s.turnover.Expired++
		s.removeLocked(i)
		return 0
	}
	return i
}

// restartsLocked reports whether x is a SYN that is not flow i's.
func (s *shard) restartsLocked(i int32, x *subject) bool {
	f := &s.flows.entries[i].value
	return x.key.protocol == TCP && f.restarts(x.packet.firstSegment(), x.from != f.origin)
}

// permitsLocked reports whether flow i may use x's links, and by which rule.
// Its own are known to be right.
func (s *shard) permitsLocked(i int32, x *subject) (rule int, ok bool) {
	e := &s.flows.entries[i]
	if e.value.links == x.links {
		return int(e.value.rule), true
	}
	return s.rules.keeps(e, x.links)
}

// keeps reports whether the rules would open the flow on these links, and which
// rule would.
func (r *ruleset) keeps(e *entry[key, flow], links [2]uint32) (rule int, ok bool) {
	p := e.value.opener(&e.key, links)
	v, stateless := r.judge(&p)
	return v.Rule, v.Action == Allow && !stateless
}

// followLocked passes a packet of flow i, which rule allows.
func (s *shard) followLocked(i int32, x *subject, rule int) Verdict {
	f := &s.flows.entries[i].value
	f.links, f.rule = x.links, int32(rule)
	s.order.remove(f.list(), i)
	f.follow(x)
	s.order.add(f.list(), i)
	v := Verdict{Allow, ByFlow, rule}
	s.tally.add(v, x.packet)
	return v
}

// askLocked decides by rules about a packet, and opens a flow if it may. Flow
// i, if not 0, has the packet's key, but the packet is not of it: a SYN takes
// the place of a connection that has ended, else the flow stays.
func (s *shard) askLocked(i int32, x *subject) Verdict {
	v, stateless := s.rules.judge(x.packet)
	s.tally.add(v, x.packet)
	if v.Action != Allow || stateless || !x.packet.opens() {
		return v
	}
	if i != 0 {
		if !s.restartsLocked(i, x) || !s.flows.entries[i].value.ended() {
			return v
		}
		s.turnover.Expired++
		s.removeLocked(i)
	}
	s.openLocked(x, v.Rule)
	return v
}
