package defrag

import (
	"math/rand/v2"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// tabled returns a queue of that identification, to be inserted.
func tabled(id uint32, hash uint64) *queue {
	return &queue{key: key{identification: id}, hash: hash}
}

func instant(d time.Duration) tcpip.MonotonicTime { return tcpip.MonotonicTime{}.Add(d) }

// The table against a map, with collisions of hashes and of buckets.
func TestTable(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	timeouts := []time.Duration{time.Second, time.Minute, 30 * time.Millisecond}
	var table table
	held := make(map[uint32]*queue)
	now := time.Duration(0)
	hashOf := func(id uint32) uint64 { return uint64(id%50)<<32 | uint64(id%7) }
	for step := range 20000 {
		id := random.Uint32N(400)
		k := key{identification: id}
		if got := table.find(&k, hashOf(id)); got != held[id] {
			t.Fatalf("step %d: found %p, want %p", step, got, held[id])
		}
		switch q := held[id]; {
		case q == nil:
			q = tabled(id, hashOf(id))
			timeout := timeouts[random.IntN(len(timeouts))]
			table.insert(q, instant(now), timeout)
			if q.deadline != instant(now+timeout) {
				t.Fatalf("deadline %v", q.deadline)
			}
			held[id] = q
		case random.IntN(4) == 0:
			table.remove(q)
			delete(held, id)
		}
		if random.IntN(10) == 0 {
			now += time.Duration(random.IntN(20)) * time.Millisecond
			expire(t, &table, held, now)
		}
		if table.count != len(held) {
			t.Fatalf("step %d: %d queues, want %d", step, table.count, len(held))
		}
	}
}

// expire takes out what is due, and checks that all of it is, and no more.
func expire(t *testing.T, table *table, held map[uint32]*queue, now time.Duration) {
	t.Helper()
	for q := table.expired(instant(now)); q != nil; q = table.expired(instant(now)) {
		if q.deadline.After(instant(now)) {
			t.Fatalf("expired at %v, due at %v", now, q.deadline)
		}
		table.remove(q)
		delete(held, q.key.identification)
	}
	var earliest *queue
	for _, q := range held {
		if !q.deadline.After(instant(now)) {
			t.Fatalf("not expired at %v, due at %v", now, q.deadline)
		}
		if earliest == nil || q.deadline.Before(earliest.deadline) {
			earliest = q
		}
	}
	switch deadline, ok := table.deadline(); {
	case ok != (earliest != nil):
		t.Fatalf("deadline is %v", ok)
	case ok && deadline != earliest.deadline:
		t.Fatalf("deadline %v, want %v", deadline, earliest.deadline)
	}
}

// A queue that arrived before its predecessor waits for that one, so that a
// line stays in order; it is never early.
func TestTableArrivalsOutOfOrder(t *testing.T) {
	var table table
	a, b, c := tabled(1, 1), tabled(2, 2), tabled(3, 3)
	table.insert(a, instant(10), 100)
	table.insert(b, instant(5), 100)
	table.insert(c, instant(11), 100)
	if a.deadline != instant(110) || b.deadline != instant(110) || c.deadline != instant(111) {
		t.Errorf("deadlines %v, %v, %v", a.deadline, b.deadline, c.deadline)
	}
}

// steps counts the queues that find and remove look at on their way to q.
func (t *table) steps(q *queue) (n int) {
	for at := t.buckets[t.bucket(q.hash)]; at != q; at = at.next {
		n++
	}
	return n + 1
}

// No operation looks at more queues among 100,000 than among 100; and memory
// of a flood is let go.
func TestTableCostStaysConstant(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	mean := func(n uint32) float64 {
		var table table
		var all []*queue
		for id := range n {
			q := tabled(id, random.Uint64())
			table.insert(q, instant(time.Duration(id)), time.Second)
			all = append(all, q)
		}
		sum := 0
		for _, q := range all {
			steps := table.steps(q)
			if sum += steps; steps > 12 {
				t.Errorf("among %d queues one is found in %d steps", n, steps)
			}
		}
		for i, q := range all { // Expiry finds the oldest at once.
			if got := table.expired(instant(time.Hour)); got != q {
				t.Fatalf("queue %d did not expire in its turn", i)
			}
			table.remove(q)
		}
		table.expired(instant(time.Hour))
		if len(table.buckets) > 8*minBuckets || len(table.lines) != 0 {
			t.Errorf("%d buckets and %d lines are left of %d queues", len(table.buckets), len(table.lines), n)
		}
		return float64(sum) / float64(n)
	}
	for _, n := range []uint32{100, 10000, 100000} {
		if m := mean(n); m > 2 {
			t.Errorf("among %d queues one is found in %.2f steps", n, m)
		}
	}
}

// A key distinguishes every bit of what R12 names.
func TestKeyHasNoOtherField(t *testing.T) {
	a, b := new(zone), new(zone)
	p := packet{source: [16]byte{1}, destination: [16]byte{2}, identification: 3}
	base := makeKey(a, &p, &Metadata{Link: 9})
	if base.link != 0 || base != makeKey(a, &p, &Metadata{Link: 8, Tag: 7, ChecksumVerified: true}) || base == makeKey(b, &p, &Metadata{}) {
		t.Errorf("key %+v", base)
	}
	for bit := range 128 {
		for _, field := range []*[16]byte{&p.source, &p.destination} {
			field[bit/8] ^= 1 << (bit % 8)
			if makeKey(a, &p, &Metadata{}) == base {
				t.Errorf("bit %d makes no difference", bit)
			}
			field[bit/8] ^= 1 << (bit % 8)
		}
	}
}
