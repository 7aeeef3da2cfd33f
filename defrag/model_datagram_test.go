package defrag_test

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/v6stack/v6stack/defrag"
)

// end returns where a piece ends.
func (p *naivePacket) end() int { return p.start + len(p.data) }

// naiveLast returns the piece without the M flag, or nil.
func naiveLast(pieces []naivePiece) *naivePiece {
	for i := range pieces {
		if !pieces[i].more {
			return &pieces[i]
		}
	}
	return nil
}

// naiveFirst returns the piece at offset 0, or nil.
func naiveFirst(pieces []naivePiece) *naivePiece {
	for i := range pieces {
		if pieces[i].start == 0 {
			return &pieces[i]
		}
	}
	return nil
}

// naiveHighest returns the highest end of pieces.
func naiveHighest(pieces []naivePiece) (end int) {
	for i := range pieces {
		end = max(end, pieces[i].end())
	}
	return end
}

// naivePayload lays pieces out octet by octet; there says which octets are held.
func naivePayload(pieces []naivePiece) (octets []byte, there []bool) {
	octets, there = make([]byte, naiveHighest(pieces)), make([]bool, naiveHighest(pieces))
	for _, p := range pieces {
		for i, octet := range p.data {
			octets[p.start+i], there[p.start+i] = octet, true
		}
	}
	return octets, there
}

// naiveComplete reports whether pieces are a whole datagram.
func naiveComplete(pieces []naivePiece) bool {
	_, there := naivePayload(pieces)
	return naiveLast(pieces) != nil && !slices.Contains(there, false)
}

// naiveTooLong reports whether pieces exceed the largest Payload Length (R16).
func naiveTooLong(pieces []naivePiece) bool {
	first := naiveFirst(pieces)
	return first != nil && first.unfragmentable-40+naiveHighest(pieces) > 65535
}

// judge says what p does to q: Held to join it, or the drop, of q as a whole
// from DatagramTooLong on.
func (q *naiveQueue) judge(p naivePiece, policy defrag.Policy) defrag.Verdict {
	held := 0
	_, there := naivePayload(q.pieces)
	for i := range p.data {
		if p.start+i < len(there) && there[p.start+i] {
			held++
		}
	}
	conflict := !p.more && p.end() < naiveHighest(q.pieces)
	if final := naiveLast(q.pieces); final != nil {
		conflict = conflict || p.end() > final.end() || !p.more && p.end() != final.end()
	}
	if policy == defrag.Linux {
		return naiveJudgeLinux(p, held, conflict)
	}
	for _, other := range q.pieces {
		switch same := other.start == p.start && len(other.data) == len(p.data); {
		case same && other.more == p.more && policy == defrag.RFC5722:
			return defrag.DuplicateDiscard // R18
		case same && other.more == p.more:
			return defrag.Duplicate // R18
		case same:
			return defrag.EndMismatch // R18: it is R22's.
		}
	}
	switch {
	case held > 0:
		return defrag.Overlap // R19, R20
	case conflict:
		return defrag.EndMismatch // R22
	case naiveTooLong(append(slices.Clone(q.pieces), p)):
		return defrag.DatagramTooLong // R16
	}
	return defrag.Held
}

// naiveJudgeLinux is judge by the steps of nf_defrag_ipv6, of which held octets are
// there already.
func naiveJudgeLinux(p naivePiece, held int, conflict bool) defrag.Verdict {
	switch {
	case !p.more && conflict:
		return defrag.ConflictingEnd // 8
	case p.more && len(p.data)%8 != 0:
		return defrag.UnalignedDiscard // 10
	case conflict:
		return defrag.ConflictingEnd // 11
	case len(p.data) == 0:
		return defrag.EmptyFragment // 12
	case held == len(p.data):
		return defrag.Duplicate // 13
	case held > 0:
		return defrag.Overlap // 14
	}
	return defrag.Held
}

// naiveECN merges the ECN marks of pieces (R26–R29).
func naiveECN(pieces []naivePiece) (ecn uint8, ok bool) {
	seen := map[uint8]bool{}
	for _, p := range pieces {
		seen[p.ecn] = true
	}
	first := naiveFirst(pieces).ecn
	switch {
	case len(seen) == 1:
		return first, true
	case seen[0]:
		return 0, false
	case seen[3]:
		return 3, true
	}
	return first, true
}

// naiveAssemble makes the packet of a whole datagram (R24).
func naiveAssemble(pieces []naivePiece) string {
	first := naiveFirst(pieces)
	octets, _ := naivePayload(pieces)
	packet := slices.Clone(first.octets[:first.unfragmentable])
	packet[first.announced] = first.header[0]
	ecn, _ := naiveECN(pieces)
	packet[1] = packet[1]&0xcf | ecn<<4
	binary.BigEndian.PutUint16(packet[4:], uint16(len(packet)-40+len(octets)))
	return string(packet) + string(octets)
}

// naiveDescribe returns what travels with the datagram of pieces, the last to
// arrive at the end (R30). q is nil for an atomic fragment.
func naiveDescribe(q *naiveQueue, pieces ...naivePiece) *defrag.Datagram {
	first, newest := naiveFirst(pieces), pieces[len(pieces)-1].meta
	d := &defrag.Datagram{
		Metadata:             newest,
		Identification:       binary.BigEndian.Uint32(first.header[4:]),
		FragmentHeader:       [8]byte(first.header),
		UnfragmentableLength: first.unfragmentable,
	}
	d.Metadata.LinkHeader = first.meta.LinkHeader
	d.Metadata.Handler = first.meta.Handler
	if q != nil {
		d.Metadata.Link = q.link
	}
	for _, p := range pieces {
		d.Metadata.ChecksumVerified = d.Metadata.ChecksumVerified && p.meta.ChecksumVerified
		d.LargestPacket = max(d.LargestPacket, len(p.octets))
		d.Boundaries = append(d.Boundaries, uint16(p.start/8))
	}
	slices.SortFunc(d.Boundaries, cmp.Compare)
	return d
}
