package oracle

import (
	"slices"
	"sort"
)

// A datagram is what is held of one.
type datagram struct {
	// held fragments, by start.
	held []*fragment
	// octets of payload held.
	octets int
	// runs of octets as the kernel sees them, by start.
	runs []span
	// end is the highest end seen; final says that it is the datagram's.
	end   int
	final bool
}

// A span is a range of octets.
type span struct{ start, end int }

// A fate is what becomes of a datagram upon a fragment.
type fate uint8

const (
	// drop leaves the datagram as it is, without the fragment.
	drop fate = iota
	keep
	complete
	// kill throws the datagram away, the fragment included.
	kill
	// passAndKill throws the datagram away and hands the fragment on.
	passAndKill
)

// add decides the fate upon f.
func (d *datagram) add(f *fragment, rules Rule) fate {
	if f.more && (f.end-f.start)%8 != 0 {
		if rules.Has(UnalignedKill) {
			return passAndKill
		}
		return drop
	}
	disagrees := d.disagrees(f)
	if f.start == f.end {
		return d.refuse(f, rules, disagrees)
	}
	if disagrees {
		if rules.Has(FirstEnd) {
			return drop
		}
		return kill
	}
	if d.duplicate(f, rules) {
		return d.refuse(f, rules, false)
	}
	if at := d.find(f.start); at < len(d.held) && d.held[at].start < f.end {
		return kill
	}
	d.learnEnd(f)
	d.hold(f)
	return d.judge(rules)
}

// refuse returns the fate upon an empty or duplicate fragment. With
// [RefusedEnd] the datagram learns its end from it nevertheless.
func (d *datagram) refuse(f *fragment, rules Rule, disagrees bool) fate {
	if !rules.Has(RefusedEnd) || disagrees {
		return drop
	}
	d.learnEnd(f)
	return keep
}

// disagrees reports whether f's end cannot be true if the ends seen are.
func (d *datagram) disagrees(f *fragment) bool {
	if f.more {
		return d.final && f.end > d.end
	}
	return f.end < d.end || d.final && f.end != d.end
}

func (d *datagram) learnEnd(f *fragment) {
	d.end = max(d.end, f.end)
	d.final = d.final || !f.more
}

// find returns the number of the first fragment held that ends past octet at.
func (d *datagram) find(at int) int {
	return sort.Search(len(d.held), func(i int) bool { return d.held[i].end > at })
}

// duplicate reports whether f brings nothing new. One that differs from a
// fragment held in nothing but the M flag does not without [FirstEnd]: it is a
// second end.
func (d *datagram) duplicate(f *fragment, rules Rule) bool {
	if rules.Has(ArrivalRuns) {
		at := sort.Search(len(d.runs), func(i int) bool { return d.runs[i].end > f.start })
		return at < len(d.runs) && d.runs[at].start <= f.start && f.end <= d.runs[at].end
	}
	at := d.find(f.start)
	if !rules.Has(HeldOctets) {
		if at == len(d.held) {
			return false
		}
		h := d.held[at]
		return h.start == f.start && h.end == f.end && (h.more == f.more || rules.Has(FirstEnd))
	}
	covered := f.start
	for ; at < len(d.held) && d.held[at].start <= covered; at++ {
		covered = d.held[at].end
	}
	return covered >= f.end
}

// hold adds f, of which nothing is held yet. It continues the last run if it
// starts where the last fragment ends, and is a run by itself otherwise.
func (d *datagram) hold(f *fragment) {
	at := d.find(f.start)
	if last := len(d.runs) - 1; last >= 0 && d.runs[last].end == f.start {
		d.runs[last].end = f.end
	} else {
		before := sort.Search(len(d.runs), func(i int) bool { return d.runs[i].start > f.start })
		d.runs = slices.Insert(d.runs, before, span{f.start, f.end})
	}
	d.held = slices.Insert(d.held, at, f)
	d.octets += f.end - f.start
}

// judge decides the fate upon a fragment that was kept.
func (d *datagram) judge(rules Rule) fate {
	first := d.held[0].start == 0
	if first && !rules.Has(LateLength) && d.tooLong() {
		return kill
	}
	if !first || !d.final || d.octets != d.end {
		return keep
	}
	if _, ok := d.ecn(); !ok || d.tooLong() {
		return kill
	}
	return complete
}

// tooLong reports whether the headers before the first fragment's Fragment
// header and the payload exceed a Payload Length.
func (d *datagram) tooLong() bool { return d.held[0].chain.at-headerLength+d.end > 65535 }

// ecn returns the datagram's mark; ok is false where the fragments' marks do
// not go together (RFC 3168 section 5.3).
func (d *datagram) ecn() (mark uint8, ok bool) {
	const notECT, ce = 0, 3
	var seen [4]bool
	for _, h := range d.held {
		seen[h.ecn()] = true
	}
	switch {
	case seen[notECT]:
		return notECT, !seen[1] && !seen[2] && !seen[ce]
	case seen[ce]:
		return ce, true
	}
	return d.held[0].ecn(), true
}

// assemble returns the complete datagram.
func (d *datagram) assemble(rules Rule) []byte {
	first := d.held[0]
	out := append([]byte(nil), first.packet[:first.chain.at]...)
	for _, h := range d.held {
		out = append(out, h.payload()...)
	}
	mark, _ := d.ecn()
	out[1] = out[1]&^0x30 | mark<<4
	place := first.chain.announced
	if rules.Has(HeaderPosition) {
		place &= 0xff
	}
	out[place] = first.next
	setPayloadLength(out, len(out)-headerLength)
	return out
}
