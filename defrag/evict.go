package defrag

import (
	"cmp"
	"slices"
	"sync"
)

// enforce evicts queues until the budgets hold, first the zone's, then the
// engine's. No lock may be held.
func (e *Engine) enforce(z *zone) {
	if config := z.config.Load(); z.bytes.Load() > int64(config.High) {
		e.evictZone(z)
	}
	if e.bytes.Load() > e.total {
		e.evictTotal()
	}
}

// slack is the part of a budget that one eviction frees at least, so that its
// cost, in proportion to the queues held, is constant for each queue evicted.
const slack = 16

// victimsPool holds scratch memory.
var victimsPool = sync.Pool{New: func() any { return new(victims) }}

// evictZone brings the zone from above its high threshold to its low one.
func (e *Engine) evictZone(z *zone) {
	var evicted queueList
	z.evicting.Lock()
	config := z.config.Load()
	if z.bytes.Load() > int64(config.High) { // Else another goroutine was here before.
		low := min(config.Low, config.High-config.High/slack)
		e.evictLocked(z, low, &evicted)
	}
	z.evicting.Unlock()
	e.buryAll(&evicted, Evicted)
}

// evictLocked takes queues out of z, into evicted, until it holds no more than
// low. z.evicting must be held.
func (e *Engine) evictLocked(z *zone, low uint64, evicted *queueList) {
	v := victimsPool.Get().(*victims)
	v.candidates = z.candidates(v.candidates[:0])
	need := int(z.bytes.Load()) - int(low)
	v.choose(need, int(low/equalShares), func(c *candidate) { e.take(c, evicted) })
	victimsPool.Put(v)
}

// take takes the queue that c describes, if it is still there, out of its
// table and zone, into taken.
func (e *Engine) take(c *candidate, taken *queueList) {
	s := e.shardOf(c.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.table.find(&c.key, c.hash); q != nil && q.generation == c.generation {
		s.removeLocked(q)
		taken.push(q)
	}
}

// evictTotal brings all zones together below the engine's total. The zones
// furthest above their share yield; none is brought below it:
//
//	bytes  ████
//	       ████▁▁▁▁  ← level: what is above goes
//	       ████████
//	       ████████ ──── share
//	       ████████ ██
func (e *Engine) evictTotal() {
	var evicted queueList
	e.evicting.Lock()
	e.evictTotalLocked(&evicted)
	e.evicting.Unlock()
	e.buryAll(&evicted, EvictedTotal)
}

// evictTotalLocked takes the queues to evict, into evicted. e.evicting must be
// held.
func (e *Engine) evictTotalLocked(evicted *queueList) {
	total := e.bytes.Load()
	if total <= e.total {
		return
	}
	target := e.total - e.total/slack
	over, share := e.holders(target)
	level := level(over, share, total-target)
	for _, h := range over {
		if h.bytes <= level {
			return
		}
		h.zone.evicting.Lock()
		e.evictLocked(h.zone, uint64(level), evicted)
		h.zone.evicting.Unlock()
	}
}

// A holder is a zone with what it holds.
type holder struct {
	zone  *zone
	bytes int64
}

// holders returns the zones that hold more than an equal share of target, most
// first, and that share.
func (e *Engine) holders(target int64) (over []holder, share int64) {
	for _, z := range e.zones.all() {
		if b := z.bytes.Load(); b > 0 {
			over = append(over, holder{z, b})
		}
	}
	share = target / int64(max(len(over), 1))
	over = slices.DeleteFunc(over, func(h holder) bool { return h.bytes <= share })
	slices.SortFunc(over, func(a, b holder) int { return cmp.Compare(b.bytes, a.bytes) })
	return over, share
}

// level returns the highest level, not below share, such that the holders,
// most first, hold need octets above it.
func level(over []holder, share, need int64) int64 {
	sum := int64(0)
	for i, h := range over {
		sum += h.bytes
		n := int64(i + 1)
		next := share
		if i+1 < len(over) {
			next = over[i+1].bytes
		}
		if sum-n*next >= need {
			return max((sum-need)/n, share)
		}
	}
	return share
}
