package filter

// A table finds values by key. A value has a number above 0 that stays the same
// until it is removed; numbers are used again. Nothing is allocated while no
// more values are in it than there were before. The zero value is an empty
// table. It has no lock.
type table[K comparable, V any] struct {
	// entries by number; the first is not used.
	entries []entry[K, V]
	// buckets hold the numbers of the first entries of chains; their number is
	// a power of two.
	buckets []int32
	free    int32 // head of the chain of removed entries
	live    int
}

type entry[K comparable, V any] struct {
	key   K
	value V
	hash  uint64
	next  int32 // in its chain
}

const firstBuckets = 64

// find returns the number of k's value, 0 if there is none.
func (t *table[K, V]) find(k *K, hash uint64) int32 {
	if len(t.buckets) == 0 {
		return 0
	}
	i := *t.bucket(hash)
	for i != 0 {
		e := &t.entries[i]
		if e.hash == hash && e.key == *k {
			break
		}
		i = e.next
	}
	return i
}

// insert adds the zero value under k, which is not there, and returns its
// number.
func (t *table[K, V]) insert(k *K, hash uint64) int32 {
	if t.live >= len(t.buckets) {
		t.grow()
	}
	i := t.free
	if i != 0 {
		t.free = t.entries[i].next
	} else {
		i = int32(len(t.entries))
		t.entries = append(t.entries, entry[K, V]{})
	}
	head := t.bucket(hash)
	t.entries[i] = entry[K, V]{key: *k, hash: hash, next: *head}
	*head = i
	t.live++
	return i
}

// remove takes out the value of that number.
func (t *table[K, V]) remove(i int32) {
	e := &t.entries[i]
	link := t.bucket(e.hash)
	for *link != i {
		link = &t.entries[*link].next
	}
	*link = e.next
	*e = entry[K, V]{next: t.free}
	t.free = i
	t.live--
}

func (t *table[K, V]) bucket(hash uint64) *int32 {
	return &t.buckets[hash&uint64(len(t.buckets)-1)]
}

// grow doubles the buckets and chains all entries anew.
func (t *table[K, V]) grow() {
	if len(t.buckets) == 0 {
		t.buckets = make([]int32, firstBuckets)
		t.entries = make([]entry[K, V], 1, 1+firstBuckets)
		return
	}
	old := t.buckets
	t.buckets = make([]int32, 2*len(old))
	for _, i := range old {
		for i != 0 {
			e := &t.entries[i]
			next, head := e.next, t.bucket(e.hash)
			e.next, *head = *head, i
			i = next
		}
	}
}
