package defrag

import (
	"sync"
	"sync/atomic"
)

// A zone is the budget, the configuration and the counters of one [Zone], and
// the list of its queues, which lie in all shards.
type zone struct {
	id     Zone
	config atomic.Pointer[ZoneConfig]
	counters
	bytes  atomic.Int64 // truesize of all queues
	queues atomic.Int64

	// evicting is held by the one goroutine that evicts; of all locks only
	// Engine.evicting may be held when it is taken.
	evicting sync.Mutex

	// mu is a leaf: no other lock is taken under it.
	mu   sync.Mutex
	head *queue // guarded by mu
	gone atomic.Bool
	// declared zones are not forgotten when idle; guarded by zones.mu.
	declared bool
}

// link adds q to the zone; false says that the zone has been removed.
func (z *zone) link(q *queue) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.gone.Load() {
		return false
	}
	q.zonePrev, q.zoneNext = nil, z.head
	if z.head != nil {
		z.head.zonePrev = q
	}
	z.head = q
	z.queues.Add(1)
	return true
}

// unlink takes q out of the zone.
func (z *zone) unlink(q *queue) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if q.zonePrev == nil {
		z.head = q.zoneNext
	} else {
		q.zonePrev.zoneNext = q.zoneNext
	}
	if q.zoneNext != nil {
		q.zoneNext.zonePrev = q.zonePrev
	}
	q.zonePrev, q.zoneNext = nil, nil
	z.queues.Add(-1)
}

// remove closes the zone to new queues; ok is false where onlyIdle is asked for
// and it holds some.
func (z *zone) remove(onlyIdle bool) (ok bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if onlyIdle && z.head != nil {
		return false
	}
	z.gone.Store(true)
	return true
}

// candidates appends all queues of the zone, as they are now, to dst.
func (z *zone) candidates(dst []candidate) []candidate {
	z.mu.Lock()
	defer z.mu.Unlock()
	for q := z.head; q != nil; q = q.zoneNext {
		dst = append(dst, candidate{key: q.key, hash: q.hash, generation: q.generation, bytes: int(q.bytes.Load())})
	}
	return dst
}

// stats returns a snapshot of the zone.
func (z *zone) stats() ZoneStats {
	s := ZoneStats{Zone: z.id, Config: *z.config.Load(), Counts: z.snapshot()}
	z.mu.Lock()
	defer z.mu.Unlock()
	for q := z.head; q != nil; q = q.zoneNext {
		s.Queues++
		s.Fragments += uint64(q.fragments.Load())
		s.Bytes += uint64(q.bytes.Load())
	}
	return s
}
