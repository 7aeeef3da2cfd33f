package defrag

import (
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
)

// An assembly is one datagram being put together: which octets are held, where
// they are, and what the fragments say about the whole. It knows neither time
// nor other datagrams. The zero value is empty.
//
// The payload is in three places:
//
//	chained  fragments that fill at least a quarter of the memory they pin stay
//	         in the buffers they came in
//	loose    smaller ones are copied into views of their own size …
//	flat     … and, once that is no dearer, into one view, each at its offset
type assembly struct {
	cover coverage
	list  fragmentList
	flat  *buffer.View
	tags  *[]uint64 // of fragments in flat, where they have any

	views     int32 // truesize of all views
	looseSize int32 // truesize of loose fragments
	looseEnd  int32 // highest end of loose fragments

	held    int32 // octets of payload
	highest int32 // highest end held
	end     int32 // of the datagram, if known
	// unfragmentable, announced and headers are those of the first fragment.
	unfragmentable, announced, headers int32

	known      bool // end is known
	hasFirst   bool // the first fragment is held
	unverified bool // some fragment's checksum is
	discarded  bool // by policy RFC5722, which refuses what comes
	marks      ecnMarks
	firstECN   uint8
	largest    uint16 // Payload Length of the largest fragment
}

// units returns the span of p's payload. Its length must not be 0.
func (p *packet) units() span {
	return span{uint16(p.offset / unit), uint16((p.end() + unit - 1) / unit)}
}

// judge says, by policies RFC8200 and RFC5722, what p does to the datagram:
// Held to keep it, or the drop; of the datagram where discards says so.
func (a *assembly) judge(p *packet, policy Policy) Verdict {
	switch {
	case a.discarded:
		return AfterDiscard
	case policy == Linux:
		return a.judgeLinux(p)
	}
	switch relation := a.cover.relate(p.units()); {
	case relation == same:
		return a.judgeSame(p, policy)
	case relation != apart: // RFC 5722 section 4.
		return Overlap
	case a.conflicts(p):
		return EndMismatch
	case a.tooLong(p):
		return DatagramTooLong
	}
	return Held
}

// judgeLinux is judge as nf_defrag_ipv6 does it, in its order.
func (a *assembly) judgeLinux(p *packet) Verdict {
	switch {
	case p.more && p.length%unit != 0:
		return UnalignedDiscard
	case a.conflicts(p):
		return ConflictingEnd
	case p.length == 0:
		return EmptyFragment
	}
	switch a.cover.relate(p.units()) {
	case apart:
		return Held
	case partial:
		return Overlap
	}
	return Duplicate
}

// judgeSame is judge for p that has the span of a fragment held.
func (a *assembly) judgeSame(p *packet, policy Policy) Verdict {
	end := int(p.units().end) * unit // of the fragment held
	final := a.known && end >= int(a.end)
	if final {
		end = int(a.end)
	}
	switch {
	case p.end() != end: // The same unit, but not the same octets.
		return Overlap
	case p.more == final:
		return EndMismatch
	case policy == RFC5722:
		return DuplicateDiscard
	}
	return Duplicate // RFC 8200 section 4.5 lets us ignore it.
}

// conflicts reports whether p disagrees with the end of the datagram: another
// end than the known one, data past it, or an end before data held.
func (a *assembly) conflicts(p *packet) bool {
	if p.more {
		return a.known && p.end() > int(a.end)
	}
	return a.known && p.end() != int(a.end) || p.end() < int(a.highest)
}

// tooLong reports whether the headers of the first fragment and the data would
// exceed the largest Payload Length with p (RFC 8200 section 4.5).
func (a *assembly) tooLong(p *packet) bool {
	headers := int(a.unfragmentable)
	if p.offset == 0 {
		headers = p.unfragmentable
	} else if !a.hasFirst {
		return false
	}
	return headers-ipv6HeaderLength+max(int(a.highest), p.end()) > maxPayload
}

// add keeps p, which judge let pass, and takes its buffer b over.
func (a *assembly) add(p *packet, b *buffer.Buffer, meta *Metadata) {
	a.cover.add(p.units(), takeBitmaps)
	a.held += int32(p.length)
	a.highest = max(a.highest, int32(p.end()))
	if !p.more {
		a.known, a.end = true, int32(p.end())
	}
	a.largest = max(a.largest, uint16(p.size()-ipv6HeaderLength))
	a.marks = a.marks.add(p.ecn)
	a.unverified = a.unverified || !meta.ChecksumVerified
	if p.offset == 0 {
		a.hasFirst, a.firstECN = true, p.ecn
		a.unfragmentable = int32(p.unfragmentable)
		a.announced = int32(p.announced)
		a.headers = int32(p.headers)
	}
	a.keep(p, b, meta.Tag)
}

// complete reports whether all octets are there.
func (a *assembly) complete() bool { return a.known && a.held == a.end }

// completes reports whether p, which judge let pass, is the last piece.
func (a *assembly) completes(p *packet) bool {
	end := int(a.end)
	if !p.more {
		end = p.end()
	}
	return (a.known || !p.more) && int(a.held)+p.length == end
}

// outcome says what becomes of the datagram that p completes: Held to keep p
// and deliver, or the drop.
func (a *assembly) outcome(p *packet) Verdict {
	if a.tooLong(p) {
		return DatagramTooLong
	}
	if _, ok := a.marks.add(p.ecn).merge(0); !ok {
		return ECNMismatch
	}
	return Held
}

// memory returns the truesize of all that the assembly holds, beyond its own
// struct.
func (a *assembly) memory() int {
	size := int(a.views) + a.list.memory()
	if a.tags != nil {
		size += cap(*a.tags) * 8
	}
	if a.cover.maps != nil {
		size += bitmapsSize
	}
	return size
}

// reset releases all that is held and empties the assembly.
func (a *assembly) reset() {
	held := a.list.all()
	for i := range held {
		held[i].packet.Release()
	}
	a.list.reset()
	if a.flat != nil {
		a.flat.Release()
	}
	if a.cover.maps != nil {
		bitmapsPool.Put(a.cover.maps)
	}
	*a = assembly{}
}

var bitmapsPool = sync.Pool{New: func() any { return new(bitmaps) }}

// takeBitmaps returns empty bitmaps.
func takeBitmaps() *bitmaps {
	m := bitmapsPool.Get().(*bitmaps)
	*m = bitmaps{}
	return m
}
