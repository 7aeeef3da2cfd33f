package defrag

import "math/bits"

// Octets are counted in units of 8, the unit of the Fragment Offset: every
// fragment starts at one and, but for the last of its datagram, ends at one.
const (
	unit     = 8
	maxUnits = 8192 // of any datagram: ceil(65,535 / 8)
)

// A relation says how a new span lies to those that a coverage holds.
type relation uint8

const (
	apart     relation = iota // touches no unit held
	same                      // is one of the spans held
	contained                 // all its units are held, but not as one span
	partial                   // some of its units are held
)

// A span is a range of units, end excluded.
type span struct{ start, end uint16 }

// inlineSpans is how many spans a coverage holds without a bitmap. Most
// datagrams have fewer fragments, and a bitmap is dear.
const inlineSpans = 6

// A coverage records which units of a datagram are held, and as which spans.
// It knows integers only. The zero value is empty.
//
// A few spans are a sorted list; more are two bitmaps, one of units held, one
// of span starts, which together tell every span:
//
//	units   0 1 2 3 4 5 6 7
//	held    1 1 1 1 1 . . 1
//	starts  1 . . 1 . . . 1     the spans 0–2, 3–4 and 7
type coverage struct {
	count  int32 // spans held
	inline [inlineSpans]span
	maps   *bitmaps // nil while count ≤ inlineSpans
}

// bitmaps hold any number of spans.
type bitmaps struct {
	held, starts [maxUnits / 64]uint64
}

// relate reports how s lies to what is held. s must not be empty.
func (c *coverage) relate(s span) relation {
	if c.maps != nil {
		return c.maps.relate(s)
	}
	held := 0
	for _, h := range c.inline[:c.count] {
		if h == s {
			return same
		}
		if h.start < s.end && s.start < h.end {
			held += int(min(h.end, s.end) - max(h.start, s.start))
		}
	}
	switch held {
	case 0:
		return apart
	case int(s.end - s.start):
		return contained
	}
	return partial
}

// add records s, which must be apart from what is held. spare is used when the
// bitmaps become necessary; it is called at most once.
func (c *coverage) add(s span, spare func() *bitmaps) {
	if c.maps == nil && c.count == inlineSpans {
		c.maps = spare()
		for _, h := range c.inline {
			c.maps.add(h)
		}
	}
	c.count++
	if c.maps != nil {
		c.maps.add(s)
		return
	}
	i := c.count - 1
	for ; i > 0 && c.inline[i-1].start > s.start; i-- {
		c.inline[i] = c.inline[i-1]
	}
	c.inline[i] = s
}

// appendStarts appends the start of every span, ascending, to dst.
func (c *coverage) appendStarts(dst []uint16) []uint16 {
	if c.maps != nil {
		return c.maps.appendStarts(dst)
	}
	for _, h := range c.inline[:c.count] {
		dst = append(dst, h.start)
	}
	return dst
}

// relate is coverage.relate.
func (m *bitmaps) relate(s span) relation {
	switch count(&m.held, s) {
	case 0:
		return apart
	case int(s.end - s.start):
		inner := span{s.start + 1, s.end}
		if bit(&m.starts, s.start) && count(&m.starts, inner) == 0 && m.endsAt(s.end) {
			return same
		}
		return contained
	}
	return partial
}

// endsAt reports whether no span crosses the start of unit u.
func (m *bitmaps) endsAt(u uint16) bool {
	return u == maxUnits || !bit(&m.held, u) || bit(&m.starts, u)
}

// add is coverage.add.
func (m *bitmaps) add(s span) {
	m.starts[s.start/64] |= 1 << (s.start % 64)
	for w, mask := range words(s) {
		m.held[w] |= mask
	}
}

// appendStarts is coverage.appendStarts.
func (m *bitmaps) appendStarts(dst []uint16) []uint16 {
	for w, word := range m.starts {
		for ; word != 0; word &= word - 1 {
			dst = append(dst, uint16(w*64+bits.TrailingZeros64(word)))
		}
	}
	return dst
}

// bit reports whether bit u of m is set.
func bit(m *[maxUnits / 64]uint64, u uint16) bool {
	return m[u/64]>>(u%64)&1 != 0
}

// count returns how many bits of m are set within s.
func count(m *[maxUnits / 64]uint64, s span) int {
	n := 0
	for w, mask := range words(s) {
		n += bits.OnesCount64(m[w] & mask)
	}
	return n
}

// words yields the index of each bitmap word that s touches, with the bits of
// s in it.
func words(s span) func(yield func(w int, mask uint64) bool) {
	return func(yield func(int, uint64) bool) {
		for at := int(s.start); at < int(s.end); at = (at/64 + 1) * 64 {
			mask := ^uint64(0) << (at % 64)
			if last := at/64*64 + 64; last > int(s.end) {
				mask &= ^uint64(0) >> (last - int(s.end))
			}
			if !yield(at/64, mask) {
				return
			}
		}
	}
}
