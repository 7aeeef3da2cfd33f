package defrag

import "fmt"

// Audit recomputes every budget and gauge of an engine at rest from the queues
// themselves, and returns the first that is wrong.
func (e *Engine) Audit() error {
	bytes, queues := map[*zone]int64{}, map[*zone]int64{}
	total := int64(0)
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		err := s.audit(func(q *queue) {
			size := int64(q.bytes.Load())
			bytes[q.key.zone] += size
			queues[q.key.zone]++
			total += size
		})
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	for z := range queues {
		if z.gone.Load() {
			return fmt.Errorf("a queue belongs to zone %d, which is gone", z.id)
		}
	}
	for _, z := range e.zones.all() {
		listed := int64(len(z.candidates(nil)))
		if got := z.bytes.Load(); got != bytes[z] {
			return fmt.Errorf("zone %d is charged %d octets for queues of %d", z.id, got, bytes[z])
		}
		if got := z.queues.Load(); got != queues[z] || listed != got {
			return fmt.Errorf("zone %d counts %d queues, lists %d and has %d", z.id, got, listed, queues[z])
		}
	}
	if got := e.bytes.Load(); got != total {
		return fmt.Errorf("the engine is charged %d octets for queues of %d", got, total)
	}
	return nil
}

// audit checks one shard and hands each of its queues to visit.
func (s *shard) audit(visit func(q *queue)) error {
	found := 0
	for b, q := range s.table.buckets {
		for ; q != nil; q = q.next {
			found++
			if s.table.bucket(q.hash) != b || s.engine.shardOf(q.hash) != s {
				return fmt.Errorf("queue %x lies in the wrong place", q.hash)
			}
			if err := q.audit(); err != nil {
				return fmt.Errorf("queue of datagram %#x: %w", q.key.identification, err)
			}
			visit(q)
		}
	}
	timed := 0
	for timeout, line := range s.table.lines {
		for q := line.oldest; q != nil; q = q.newer {
			timed++
			if q.line != line || line.timeout != timeout {
				return fmt.Errorf("queue %x waits in the wrong line", q.hash)
			}
			if q.newer != nil && q.newer.deadline.Before(q.deadline) {
				return fmt.Errorf("deadlines of timeout %v are out of order", timeout)
			}
			if !s.closed && (!s.armed || q.deadline.Before(s.fires)) {
				return fmt.Errorf("no timer fires for queue %x", q.hash)
			}
		}
	}
	if found != s.table.count || timed != found {
		return fmt.Errorf("a table counts %d queues, holds %d and times %d", s.table.count, found, timed)
	}
	return nil
}

// audit checks one queue.
func (q *queue) audit() error {
	a := &q.assembly
	if got, want := int(q.bytes.Load()), q.truesize(); got != want {
		return fmt.Errorf("charged %d octets, has %d", got, want)
	}
	if got := int(q.fragments.Load()); got != int(a.cover.count) {
		return fmt.Errorf("charged for %d fragments, has %d", got, a.cover.count)
	}
	views, loose := 0, 0
	held := a.list.all()
	for i := range held {
		size := truesize(&held[i].packet)
		views += size
		if held[i].loose() {
			loose += size + fragmentSize
		}
	}
	if a.flat != nil {
		views += a.flat.Capacity() + viewOverhead
	}
	if int(a.views) != views || int(a.looseSize) != loose {
		return fmt.Errorf("views of %d octets, %d loose, count as %d, %d", views, loose, a.views, a.looseSize)
	}
	return nil
}
