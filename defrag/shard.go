package defrag

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// shardCount is how many parts the table has, each with its own lock and
// timer. A key's hash chooses the shard by its upper bits.
const (
	shardBits  = 6
	shardCount = 1 << shardBits
)

// A shard is one part of the engine's table of queues.
type shard struct {
	engine *Engine

	// expiring is held while the timer's function runs; shard.mu is taken
	// under it.
	expiring sync.Mutex

	mu     sync.Mutex
	table  table       // guarded by mu
	timer  tcpip.Timer // guarded by mu
	closed bool        // guarded by mu
	// fires is when the timer will, if armed; guarded by mu.
	fires tcpip.MonotonicTime
	armed bool
}

// shardOf returns the shard of a hash.
func (e *Engine) shardOf(hash uint64) *shard { return &e.shards[hash>>(64-shardBits)] }

// insertLocked adds q to the table and to its zone, and arms the timer; false
// says that the zone has been removed. s.mu must be held.
func (s *shard) insertLocked(q *queue, now tcpip.MonotonicTime, timeout time.Duration) bool {
	q.generation = s.table.nextGeneration() // Once linked, eviction reads it.
	if !q.key.zone.link(q) {
		return false
	}
	s.table.insert(q, now, timeout)
	if !s.armed || q.deadline.Before(s.fires) {
		s.armLocked(q.deadline)
	}
	return true
}

// removeLocked takes q out of the table, its zone and all budgets. s.mu must
// be held.
func (s *shard) removeLocked(q *queue) {
	s.table.remove(q)
	z := q.key.zone
	z.unlink(q)
	charged := int64(q.bytes.Load())
	z.bytes.Add(-charged)
	s.engine.bytes.Add(-charged)
}

// chargeLocked brings the budgets up to date with what q holds. s.mu must be
// held.
func (s *shard) chargeLocked(q *queue) {
	size := q.truesize()
	more := int64(size) - int64(q.bytes.Load())
	q.bytes.Store(int32(size))
	q.fragments.Store(q.assembly.cover.count)
	q.key.zone.bytes.Add(more)
	s.engine.bytes.Add(more)
}

// armLocked makes the timer fire at deadline. s.mu must be held.
func (s *shard) armLocked(deadline tcpip.MonotonicTime) {
	wait := max(deadline.Sub(s.engine.clock.NowMonotonic()), 0)
	if s.timer == nil {
		s.timer = s.engine.clock.AfterFunc(wait, s.expire)
	} else {
		s.timer.Stop()
		s.timer.Reset(wait)
	}
	s.fires, s.armed = deadline, true
}

// expire drops the queues whose time is up. It is the timer's function.
func (s *shard) expire() {
	s.expiring.Lock()
	defer s.expiring.Unlock()
	for {
		q, z := s.takeExpired()
		if q == nil {
			return
		}
		s.engine.bury(z, q, TimedOut)
	}
}

// takeExpired takes a queue out whose time is up. Where there is none it arms
// the timer for the next and returns nil.
func (s *shard) takeExpired() (*queue, *zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil
	}
	if q := s.table.expired(s.engine.clock.NowMonotonic()); q != nil {
		s.removeLocked(q)
		return q, q.key.zone
	}
	s.armed = false
	if next, ok := s.table.deadline(); ok {
		s.armLocked(next)
	}
	return nil, nil
}

// flush drops the queues that match, without ICMPv6 errors.
func (s *shard) flush(match func(q *queue) bool) {
	var flushed queueList
	s.mu.Lock()
	for _, q := range s.table.buckets {
		for q != nil {
			next := q.next
			if match(q) {
				s.removeLocked(q)
				flushed.push(q)
			}
			q = next
		}
	}
	s.mu.Unlock()
	s.engine.buryAll(&flushed, Flushed)
}

// close drops all queues and waits for the timer's function.
func (s *shard) close() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.flush(func(*queue) bool { return true })
	s.expiring.Lock() // expire ends soon: closed is set.
	defer s.expiring.Unlock()
}
