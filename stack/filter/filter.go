package filter

import (
	"fmt"
	"iter"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// A Filter judges packets and knows the flows they belong to. [New] makes one;
// there is nothing to close. All methods may be called from many goroutines at
// once.
type Filter struct {
	seed   seed
	pairs  pairs
	shards []shard

	mu    sync.Mutex // stands above those of shards
	rules *ruleset   // guarded by mu
}

// New returns a filter without flows. The configuration is copied.
func New(c Config) (*Filter, error) {
	rules, maxFlows, err := c.prepare()
	if err != nil {
		return nil, err
	}
	f := &Filter{seed: makeSeed(), rules: rules, shards: make([]shard, shardsFor(maxFlows))}
	f.pairs.seed = &f.seed
	for i := range f.shards {
		s := &f.shards[i]
		s.pairs = &f.pairs
		s.rules = rules
		s.limit = f.limit(maxFlows)
		s.tally.rules = make([]Count, len(rules.rules))
	}
	return f, nil
}

// Check reports what [New] would refuse.
func (c *Config) Check() error {
	_, _, err := c.prepare()
	return err
}

// limit returns how many flows one shard holds.
func (f *Filter) limit(maxFlows int) int { return max(maxFlows/len(f.shards), 1) }

// Judge decides about one packet, which is borrowed for the call, at the time
// it came. The caller obeys.
func (f *Filter) Judge(p *Packet, now tcpip.MonotonicTime) Verdict {
	x := subject{packet: p, now: nanoseconds(now)}
	if p.isError() {
		return f.judgeError(&x)
	}
	t := p.tuple()
	x.key, x.from = t.key()
	x.links[x.from], x.links[1-x.from] = p.FromLink, p.ToLink
	return f.shard(&x).judge(&x)
}

// judgeError decides about an ICMPv6 error. One that quotes a packet which its
// destination did not send is about no flow.
func (f *Filter) judgeError(x *subject) Verdict {
	p := x.packet
	q := &p.Quote
	t := q.tuple(p.FromZone, p.ToZone)
	x.key, x.from = t.key()
	x.links[x.from], x.links[1-x.from] = p.ToLink, p.FromLink
	s := f.shard(x)
	switch {
	case q.Kind == WholeQuote && q.Source == p.Destination:
		return s.judgeError(x)
	case q.Kind == FragmentQuote && q.Source == p.Destination && f.pairLives(x):
		return s.passError(x)
	}
	return s.ask(x)
}

// pairLives reports whether a flow between the addresses of x's key exists.
func (f *Filter) pairLives(x *subject) bool {
	if !f.pairs.has(&x.key.pair) {
		return false
	}
	for i := range f.shards {
		f.shards[i].reap(x.now)
	}
	return f.pairs.has(&x.key.pair)
}

// shard returns the shard of x's flow, and sets its hash. The hash's upper
// half chooses the shard, the lower half the place in it.
func (f *Filter) shard(x *subject) *shard {
	x.hash = f.seed.key(&x.key)
	return &f.shards[x.hash>>32&uint64(len(f.shards)-1)]
}

// Replace puts another configuration in place; on an error nothing changes.
// Flows that the new rules would open stay, others end. A rule that stays the
// same in all fields keeps its counters, wherever it stands. Each packet is
// judged by the old rules or by the new ones, and by the new ones alone once
// Replace has returned.
func (f *Filter) Replace(c Config) error {
	rules, maxFlows, err := c.prepare()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	carry := rules.carry(f.rules)
	f.rules = rules
	for i := range f.shards {
		f.shards[i].replace(rules, carry, f.limit(maxFlows))
	}
	return nil
}

// carry returns, for each rule, the index of the one in old that is the same,
// or NoRule. Of several alike the first is the first.
func (r *ruleset) carry(old *ruleset) []int {
	places := make(map[string][]int)
	for i := range old.rules {
		text := old.rules[i].fingerprint()
		places[text] = append(places[text], i)
	}
	carry := make([]int, len(r.rules))
	for i := range r.rules {
		carry[i] = NoRule
		text := r.rules[i].fingerprint()
		if same := places[text]; len(same) > 0 {
			carry[i], places[text] = same[0], same[1:]
		}
	}
	return carry
}

// fingerprint returns a text that is the same for equal rules.
func (r *Rule) fingerprint() string {
	return fmt.Sprintf("%q %s %s %v %v %d %v %v %v %v %v", r.Name, r.From.fingerprint(), r.To.fingerprint(),
		r.Source, r.Destination, max(r.Protocol, 0), r.SourcePorts, r.DestinationPorts, r.ICMPTypes, r.Action, r.Stateless)
}

func (s Selector) fingerprint() string {
	if s.Zone != nil {
		return fmt.Sprintf("zone:%q", *s.Zone)
	}
	return fmt.Sprintf("link:%q", s.Link)
}

// Stats returns the counters, without the flows that have expired by now.
func (f *Filter) Stats(now tcpip.MonotonicTime) Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Stats{Rules: make([]RuleStats, len(f.rules.rules))}
	for i, r := range f.rules.rules {
		s.Rules[i].Name, s.Rules[i].Action = r.Name, r.Action
	}
	for i := range f.shards {
		f.shards[i].addStats(&s, nanoseconds(now))
	}
	return s
}

// Flows yields the flows that live at that time, in no order. Each part of the
// table is copied when its turn comes; no lock is held between.
func (f *Filter) Flows(now tcpip.MonotonicTime) iter.Seq[Flow] {
	return func(yield func(Flow) bool) {
		var flows []Flow
		for i := range f.shards {
			flows = f.shards[i].snapshot(flows[:0], nanoseconds(now))
			for _, flow := range flows {
				if !yield(flow) {
					return
				}
			}
		}
	}
}

// nanoseconds returns t as a number.
func nanoseconds(t tcpip.MonotonicTime) int64 {
	return int64(t.Sub(tcpip.MonotonicTime{}))
}
