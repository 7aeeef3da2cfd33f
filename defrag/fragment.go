package defrag

import (
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
)

// A fragment is one piece of a datagram that is held in a buffer of its own.
type fragment struct {
	// packet is the whole packet as received or, where skip is 0, a copy of
	// its payload alone.
	packet buffer.Buffer
	tag    uint64
	// skip is the position of the payload in packet.
	skip  int32
	start uint16 // in units
	// length of the payload in octets.
	length uint16
}

// loose reports whether f is a copied payload that waits for a place in the
// flat view.
func (f *fragment) loose() bool { return f.skip == 0 }

// inlineFragments is how many fragments a list holds without a slab.
const inlineFragments = 2

// A fragmentList holds fragments in the order of their arrival. The zero value
// is empty. Beyond a few it borrows a slab from a pool.
type fragmentList struct {
	n       int32
	ordered bool // by start; meaningful while n > 0
	inline  [inlineFragments]fragment
	slab    *slab
}

// A slab is memory for many fragments.
type slab struct {
	items []fragment
	class int
}

// slabClasses are the sizes of slabs. No datagram has more than the last:
// shorter fragments than 8 octets do not exist.
var slabClasses = [...]int{8, 64, 512, maxUnits}

var slabPools [len(slabClasses)]sync.Pool

// takeSlab returns an empty slab of that class.
func takeSlab(class int) *slab {
	if s, ok := slabPools[class].Get().(*slab); ok {
		return s
	}
	return &slab{items: make([]fragment, slabClasses[class]), class: class}
}

// all returns the fragments, borrowed until the list changes.
func (l *fragmentList) all() []fragment {
	if l.slab != nil {
		return l.slab.items[:l.n]
	}
	return l.inline[:l.n]
}

// memory returns the truesize of the list beyond its struct.
func (l *fragmentList) memory() int {
	if l.slab == nil {
		return 0
	}
	return len(l.slab.items) * fragmentSize
}

// append adds f and takes its packet over.
func (l *fragmentList) append(f fragment) {
	if held := l.all(); len(held) == 0 {
		l.ordered = true
	} else if held[len(held)-1].start > f.start {
		l.ordered = false
	}
	switch {
	case l.slab == nil && l.n == inlineFragments:
		l.move(takeSlab(0))
	case l.slab != nil && int(l.n) == len(l.slab.items):
		l.move(takeSlab(l.slab.class + 1))
	}
	l.n++
	held := l.all()
	held[len(held)-1] = f
}

// move puts the fragments into a larger slab.
func (l *fragmentList) move(to *slab) {
	from := l.all()
	copy(to.items, from)
	clear(from)
	l.returnSlab()
	l.slab = to
}

// returnSlab gives the slab, whose items are zero, back to its pool.
func (l *fragmentList) returnSlab() {
	if l.slab != nil {
		slabPools[l.slab.class].Put(l.slab)
		l.slab = nil
	}
}

// removeLoose hands each loose fragment to take, which takes its packet over,
// and removes it from the list.
func (l *fragmentList) removeLoose(take func(f *fragment)) {
	held := l.all()
	kept := held[:0]
	for i := range held {
		if held[i].loose() {
			take(&held[i])
		} else {
			kept = append(kept, held[i])
		}
	}
	clear(held[len(kept):])
	l.n = int32(len(kept))
}

// first returns the fragment at offset 0, or nil. It is never loose.
func (l *fragmentList) first() *fragment {
	held := l.all()
	for i := range held {
		if held[i].start == 0 {
			return &held[i]
		}
	}
	return nil
}

// reset empties the list, whose packets the caller has taken over or released.
func (l *fragmentList) reset() {
	clear(l.all())
	l.returnSlab()
	l.n = 0
}

// sort brings the fragments into the order of their start.
func (l *fragmentList) sort() {
	if l.ordered {
		return
	}
	held := l.all()
	if len(held) <= 2*inlineSpans {
		insertionSort(held)
	} else {
		sortByKey(held)
	}
	l.ordered = true
}

// insertionSort sorts a few fragments by start.
func insertionSort(fragments []fragment) {
	for i := 1; i < len(fragments); i++ {
		f := fragments[i]
		j := i
		for ; j > 0 && fragments[j-1].start > f.start; j-- {
			fragments[j] = fragments[j-1]
		}
		fragments[j] = f
	}
}

// sortKeys is scratch memory of sortByKey.
type sortKeys struct {
	keys   []uint32
	sorted []fragment
}

var sortKeysPool = sync.Pool{New: func() any { return new(sortKeys) }}

// sortByKey sorts many fragments by start. It sorts small keys, start and
// index in one integer, and moves each fragment once.
func sortByKey(fragments []fragment) {
	s := sortKeysPool.Get().(*sortKeys)
	s.keys = s.keys[:0]
	for i := range fragments {
		s.keys = append(s.keys, uint32(fragments[i].start)<<16|uint32(i))
	}
	slices.Sort(s.keys)
	s.sorted = s.sorted[:0]
	for _, key := range s.keys {
		s.sorted = append(s.sorted, fragments[key&0xffff])
	}
	copy(fragments, s.sorted)
	clear(s.sorted)
	sortKeysPool.Put(s)
}
