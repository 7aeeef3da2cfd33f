package defrag

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
)

// A candidate is a queue that may be evicted, by value: the queue itself may
// be gone when its turn comes.
type candidate struct {
	key        key
	hash       uint64
	generation uint32
	bytes      int
}

// prefix returns the source's /64.
func (c *candidate) prefix() uint64 { return binary.BigEndian.Uint64(c.key.source[:8]) }

// address returns the rest of the source.
func (c *candidate) address() uint64 { return binary.BigEndian.Uint64(c.key.source[8:]) }

// victims chooses queues to evict, from the source that holds most: the /64
// that holds most, and in it the address that does. The zero value is ready;
// its memory is reused.
//
// Among sources that hold about the same, and among the queues of one, the
// queue with the highest hash goes. As the hash is the datagram's for good,
// both halves of a datagram meet the same fate, and a burst beyond the budget
// still completes what the budget can hold.
type victims struct {
	candidates []candidate
	order      []int32  // of candidates: by prefix, address, descending hash
	addresses  []source // their queues are order[lo:hi]
	prefixes   []source // a heap; their addresses are addresses[lo:hi], a heap
}

// A source is an address or a /64 with what it holds.
type source struct {
	bytes  int
	top    uint64 // hash of its next victim
	lo, hi int32
}

// equalShares is the part of the budget below which sources count as holding
// the same: one 64th.
const equalShares = 64

// choose calls evict with candidates until they hold need octets, or all are
// chosen. Sources that hold up to floor octets count as equal, others by
// powers of two.
func (v *victims) choose(need, floor int, evict func(c *candidate)) {
	v.group()
	for i := range v.prefixes {
		p := &v.prefixes[i]
		heapify(v.addresses[p.lo:p.hi], floor)
		p.top = v.addresses[p.lo].top
	}
	heapify(v.prefixes, floor)
	for prefixes := v.prefixes; need > 0 && len(prefixes) > 0; {
		c := v.next(&prefixes[0], floor)
		need -= c.bytes
		evict(c)
		if p := &prefixes[0]; p.lo == p.hi {
			prefixes[0] = prefixes[len(prefixes)-1]
			prefixes = prefixes[:len(prefixes)-1]
		}
		sift(prefixes, 0, floor)
	}
}

// next takes the next victim out of p, which has one.
func (v *victims) next(p *source, floor int) *candidate {
	addresses := v.addresses[p.lo:p.hi]
	a := &addresses[0]
	c := &v.candidates[v.order[a.lo]]
	p.bytes -= c.bytes
	a.bytes -= c.bytes
	if a.lo++; a.lo < a.hi {
		a.top = v.candidates[v.order[a.lo]].hash
	} else {
		*a = addresses[len(addresses)-1]
		p.hi--
		addresses = addresses[:len(addresses)-1]
	}
	if len(addresses) > 0 {
		sift(addresses, 0, floor)
		p.top = addresses[0].top
	}
	return c
}

// group sorts the candidates and finds their sources.
func (v *victims) group() {
	v.order, v.addresses, v.prefixes = v.order[:0], v.addresses[:0], v.prefixes[:0]
	for i := range v.candidates {
		v.order = append(v.order, int32(i))
	}
	slices.SortFunc(v.order, func(i, j int32) int {
		a, b := &v.candidates[i], &v.candidates[j]
		return cmp.Or(cmp.Compare(a.prefix(), b.prefix()), cmp.Compare(a.address(), b.address()), cmp.Compare(b.hash, a.hash))
	})
	var last *candidate
	for at, i := range v.order {
		c := &v.candidates[i]
		if last == nil || c.prefix() != last.prefix() {
			n := int32(len(v.addresses))
			v.prefixes = append(v.prefixes, source{lo: n, hi: n})
			last = nil
		}
		p := &v.prefixes[len(v.prefixes)-1]
		if last == nil || c.address() != last.address() {
			v.addresses = append(v.addresses, source{top: c.hash, lo: int32(at), hi: int32(at)})
			p.hi++
		}
		a := &v.addresses[len(v.addresses)-1]
		a.hi++
		a.bytes += c.bytes
		p.bytes += c.bytes
		last = c
	}
}

// class returns which power of two of floor bytes lies in; 0 up to floor.
func class(bytes, floor int) int {
	if bytes <= floor {
		return 0
	}
	return bits.Len(uint(bytes / max(floor, 1)))
}

// before reports whether a loses a queue before b does.
func (a *source) before(b *source, floor int) bool {
	if ca, cb := class(a.bytes, floor), class(b.bytes, floor); ca != cb {
		return ca > cb
	}
	return a.top > b.top
}

// heapify makes a heap of sources, the first to lose a queue at its root.
func heapify(heap []source, floor int) {
	for i := len(heap)/2 - 1; i >= 0; i-- {
		sift(heap, i, floor)
	}
}

// sift moves the source at i down to its place.
func sift(heap []source, i, floor int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && heap[child+1].before(&heap[child], floor) {
			child++
		}
		if !heap[child].before(&heap[i], floor) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}
