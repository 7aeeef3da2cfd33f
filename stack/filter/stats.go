package filter

// Stats is what a filter has done. It is the caller's.
type Stats struct {
	// Rules in their order.
	Rules []RuleStats
	// DefaultAllowed and DefaultDenied are the packets that no rule matched.
	// Packets of flows count where the flow was opened.
	DefaultAllowed, DefaultDenied Count
	// Errors are the ICMPv6 errors that passed because of a flow.
	Errors Count
	// Flows is how many there are, MaxFlows how many there may be.
	Flows, MaxFlows int
	// Turnover is how they came and went.
	Turnover
}

// RuleStats is what one rule has done.
type RuleStats struct {
	// Name and Action of the rule.
	Name   string
	Action Action
	// Count is the packets that matched, and all those, in both directions, of
	// the flows they opened.
	Count
}

// Turnover counts flows.
type Turnover struct {
	// Opened flows.
	Opened uint64
	// Expired flows, and connections that a new one took the place of.
	Expired uint64
	// Evicted flows made room for others.
	Evicted uint64
	// Revoked flows were not allowed by new rules.
	Revoked uint64
}

// A tally counts packets in one shard.
type tally struct {
	rules           []Count
	allowed, denied Count // by default
	errors          Count
}

// add counts a packet.
func (t *tally) add(v Verdict, p *Packet) {
	switch {
	case v.Rule != NoRule:
		t.rules[v.Rule].add(p)
	case v.Action == Allow:
		t.allowed.add(p)
	default:
		t.denied.add(p)
	}
}

// carried returns the tally for new rules: carry holds, for each, the index of
// the old rule that it is, or NoRule.
func (t tally) carried(carry []int) tally {
	old := t.rules
	t.rules = make([]Count, len(carry))
	for i, from := range carry {
		if from != NoRule {
			t.rules[i] = old[from]
		}
	}
	return t
}

// addStats adds what the shard has done by now to total.
func (s *shard) addStats(total *Stats, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reapAllLocked(now)
	for i := range s.tally.rules {
		total.Rules[i].Add(s.tally.rules[i])
	}
	total.DefaultAllowed.Add(s.tally.allowed)
	total.DefaultDenied.Add(s.tally.denied)
	total.Errors.Add(s.tally.errors)
	total.Flows += s.flows.live
	total.MaxFlows += s.limit
	total.Opened += s.turnover.Opened
	total.Expired += s.turnover.Expired
	total.Evicted += s.turnover.Evicted
	total.Revoked += s.turnover.Revoked
}
