package defrag

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// A table holds queues by key and by deadline. It takes no lock and reads no
// clock. The zero value is empty.
type table struct {
	buckets []*queue // length 0 or a power of two
	count   int
	// lines hold the queues in the order of their deadlines, a line a
	// timeout, so that each operation takes constant time. Lines in use are
	// few: one a timeout configured.
	lines      map[time.Duration]*timeline
	generation uint32
}

// A timeline is a list of queues of one timeout, the oldest first.
type timeline struct {
	timeout        time.Duration
	oldest, newest *queue
}

const minBuckets = 16

// find returns the queue of that key, or nil.
func (t *table) find(k *key, hash uint64) *queue {
	if t.count == 0 {
		return nil
	}
	for q := t.buckets[t.bucket(hash)]; q != nil; q = q.next {
		if q.hash == hash && q.key == *k {
			return q
		}
	}
	return nil
}

// bucket returns the index of a hash. The shards use its upper bits.
func (t *table) bucket(hash uint64) int { return int(hash & uint64(len(t.buckets)-1)) }

// nextGeneration returns a number for a new queue.
func (t *table) nextGeneration() uint32 {
	t.generation++
	return t.generation
}

// insert adds q, whose key and hash are set and not in the table. It times out
// no earlier than timeout after now.
func (t *table) insert(q *queue, now tcpip.MonotonicTime, timeout time.Duration) {
	if t.count >= len(t.buckets) {
		t.resize(max(minBuckets, 2*len(t.buckets)))
	}
	t.count++
	b := t.bucket(q.hash)
	q.next, t.buckets[b] = t.buckets[b], q

	line := t.lines[timeout]
	if line == nil {
		if t.lines == nil {
			t.lines = make(map[time.Duration]*timeline)
		}
		line = &timeline{timeout: timeout}
		t.lines[timeout] = line
	}
	q.deadline = now.Add(timeout) // The sum does not overflow.
	line.append(q)
}

// remove takes q out.
func (t *table) remove(q *queue) {
	at := &t.buckets[t.bucket(q.hash)]
	for *at != q {
		at = &(*at).next
	}
	*at, q.next = q.next, nil
	t.count--
	q.line.remove(q)
}

// resize makes room for n queues.
func (t *table) resize(n int) {
	old := t.buckets
	t.buckets = make([]*queue, n)
	for _, q := range old {
		for q != nil {
			next := q.next
			b := t.bucket(q.hash)
			q.next, t.buckets[b] = t.buckets[b], q
			q = next
		}
	}
}

// expired returns a queue whose deadline is not after now, or nil. On its way
// it lets go of what a flood or an old timeout left.
func (t *table) expired(now tcpip.MonotonicTime) *queue {
	if t.count == 0 && len(t.buckets) > 8*minBuckets {
		t.buckets = nil
	}
	for timeout, line := range t.lines {
		switch q := line.oldest; {
		case q == nil:
			delete(t.lines, timeout)
		case !q.deadline.After(now):
			return q
		}
	}
	return nil
}

// deadline returns the earliest deadline; ok is false where there is none.
func (t *table) deadline() (earliest tcpip.MonotonicTime, ok bool) {
	for _, line := range t.lines {
		if q := line.oldest; q != nil && (!ok || q.deadline.Before(earliest)) {
			earliest, ok = q.deadline, true
		}
	}
	return earliest, ok
}

// append adds q as the newest of its line. Arrival times may be a little out
// of order; a queue then waits for the one before it.
func (l *timeline) append(q *queue) {
	q.line = l
	q.older = l.newest
	if l.newest == nil {
		l.oldest = q
	} else {
		l.newest.newer = q
		if q.deadline.Before(l.newest.deadline) {
			q.deadline = l.newest.deadline
		}
	}
	l.newest = q
}

// remove takes q out of its line.
func (l *timeline) remove(q *queue) {
	if q.older == nil {
		l.oldest = q.newer
	} else {
		q.older.newer = q.newer
	}
	if q.newer == nil {
		l.newest = q.older
	} else {
		q.newer.older = q.older
	}
	q.line, q.older, q.newer = nil, nil, nil
}
