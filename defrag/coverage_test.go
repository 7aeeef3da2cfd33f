package defrag

import (
	"slices"
	"testing"
)

// spansOf yields every span of n units.
func spansOf(n uint16) (all []span) {
	for start := range n {
		for end := start + 1; end <= n; end++ {
			all = append(all, span{start, end})
		}
	}
	return all
}

// coversOf calls visit with every set of disjoint spans of n units, each
// ascending.
func coversOf(n uint16, visit func(held []span)) {
	var extend func(held []span, from uint16)
	extend = func(held []span, from uint16) {
		visit(held)
		for start := from; start < n; start++ {
			for end := start + 1; end <= n; end++ {
				extend(append(held, span{start, end}), end)
			}
		}
	}
	extend(nil, 0)
}

// naiveRelation is coverage.relate, unit by unit.
func naiveRelation(held []span, s span) relation {
	if slices.Contains(held, s) {
		return same
	}
	units := 0
	for u := s.start; u < s.end; u++ {
		for _, h := range held {
			if h.start <= u && u < h.end {
				units++
			}
		}
	}
	switch units {
	case 0:
		return apart
	case int(s.end - s.start):
		return contained
	}
	return partial
}

// moved returns s further up.
func (s span) moved(by uint16) span { return span{s.start + by, s.end + by} }

// Every set of spans of eight units against every span, in both
// representations, at both ends of a datagram and across the words of the
// bitmaps.
func TestCoverage(t *testing.T) {
	const n = 8
	newcomers := spansOf(n)
	sets, switched := 0, 0
	for _, base := range []uint16{0, 58, 60, 64, maxUnits - n} {
		coversOf(n, func(held []span) {
			sets++
			var natural coverage
			mapped := coverage{maps: new(bitmaps)}
			var starts []uint16
			for _, h := range held {
				starts = append(starts, h.start+base)
			}
			// The order of arrival: outermost spans first, then inwards.
			for i := range held {
				j := i / 2
				if i%2 == 1 {
					j = len(held) - 1 - i/2
				}
				natural.add(held[j].moved(base), takeBitmaps)
				mapped.add(held[j].moved(base), nil)
			}
			if natural.maps != nil {
				switched++
			}
			for name, c := range map[string]*coverage{"natural": &natural, "bitmaps": &mapped} {
				if got := c.appendStarts(nil); !slices.Equal(got, starts) || int(c.count) != len(held) {
					t.Fatalf("%s, %v at %d: %d starts %v", name, held, base, c.count, got)
				}
				for _, s := range newcomers {
					if got, want := c.relate(s.moved(base)), naiveRelation(held, s); got != want {
						t.Fatalf("%s, %v at %d: %v is %v, want %v", name, held, base, s, got, want)
					}
				}
			}
			if natural.maps != nil {
				bitmapsPool.Put(natural.maps)
			}
		})
	}
	if sets < 5000 || switched == 0 {
		t.Errorf("%d sets, %d of them with bitmaps: not all there are", sets, switched)
	}
}

// Bitmaps are taken for the seventh span, not before, and once.
func TestCoverageTakesBitmapsLate(t *testing.T) {
	var c coverage
	taken := 0
	for i := range uint16(100) {
		c.add(span{2 * i, 2*i + 1}, func() *bitmaps { taken++; return new(bitmaps) })
		if want := i >= inlineSpans; (taken == 1) != want || taken > 1 {
			t.Fatalf("%d spans: bitmaps taken %d times", i+1, taken)
		}
	}
}

// Long spans: all words between are looked at.
func TestCoverageOfLongSpans(t *testing.T) {
	c := coverage{maps: new(bitmaps)}
	c.add(span{0, 100}, nil)
	c.add(span{100, 5000}, nil)
	c.add(span{6000, maxUnits}, nil)
	for s, want := range map[span]relation{
		{100, 5000}: same, {0, 100}: same, {6000, maxUnits}: same, {0, 5000}: contained, {99, 5000}: contained, {101, 5000}: contained,
		{100, 4999}: contained, {5000, 6000}: apart, {4999, 6000}: partial, {5000, 6001}: partial, {0, maxUnits}: partial, {6000, maxUnits - 1}: contained,
	} {
		if got := c.relate(s); got != want {
			t.Errorf("%v is %v, want %v", s, got, want)
		}
	}
}

// Bitmaps from the pool are empty, whatever was in them.
func TestBitmapsAreEmpty(t *testing.T) {
	for range 10 {
		m := takeBitmaps()
		if *m != (bitmaps{}) {
			t.Fatal("bits of another datagram")
		}
		m.add(span{0, maxUnits})
		bitmapsPool.Put(m)
	}
}
