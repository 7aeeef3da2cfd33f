package defrag_test

import (
	"encoding/binary"
	"slices"

	"github.com/v6stack/v6stack/defrag"
)

// A naivePacket is a fragment, read.
type naivePacket struct {
	received       string // padding included
	octets         []byte // without padding
	unfragmentable int    // length of the headers before the Fragment header
	announced      int    // where the Fragment header's type stands
	header         []byte // the Fragment header
	start          int
	data           []byte
	more           bool
	ecn            uint8
}

// naiveExtension returns the length of the extension header at the start of octets;
// ok is false for a type that kinds do not list, or where its length is not
// there.
func naiveExtension(kinds []uint8, kind uint8, octets []byte) (length int, ok bool) {
	if !slices.Contains(kinds, kind) || len(octets) < 2 {
		return 0, false
	}
	if kind == 51 {
		return 8 + 4*int(octets[1]), true
	}
	return 8 + 8*int(octets[1]), true
}

var (
	naiveExtensions      = []uint8{0, 43, 51, 60, 135, 139, 140}
	naiveExtensionsLinux = []uint8{0, 43, 51, 60}
)

// naiveInspect reads a packet and judges what can be judged without its
// datagram: Passed for what is not ours, Held for a sound fragment (R1–R11,
// R14, R15, R17; the kernel's steps 1–4 and 7).
func naiveInspect(received []byte, policy defrag.Policy) (p naivePacket, v defrag.Verdict, owed defrag.ICMPError) {
	p = naivePacket{received: string(received), octets: received}
	if len(received) < 40 || received[0]>>4 != 6 {
		return p, defrag.Passed, owed
	}
	length := int(binary.BigEndian.Uint16(received[4:]))
	if length == 0 && policy == defrag.Linux {
		return p, defrag.Passed, owed
	}
	if length != 0 {
		p.octets = received[:min(len(received), 40+length)]
	}
	p.ecn = received[1] >> 4 & 3
	kinds := naiveExtensions
	if policy == defrag.Linux {
		kinds = naiveExtensionsLinux
	}
	kind := received[6]
	p.announced, p.unfragmentable = 6, 40
	for kind != 44 {
		n, ok := naiveExtension(kinds, kind, p.octets[p.unfragmentable:])
		if !ok || p.unfragmentable+n > len(p.octets) {
			return p, defrag.Passed, owed
		}
		kind = p.octets[p.unfragmentable]
		p.announced = p.unfragmentable
		p.unfragmentable += n
	}
	rest := p.octets[p.unfragmentable:]
	if len(rest) >= 8 {
		p.header, p.data = rest[:8], rest[8:]
		field := int(binary.BigEndian.Uint16(rest[2:]))
		p.start, p.more = field/8*8, field%2 == 1
	}
	truncated := length != 0 && len(received) < 40+length
	at := uint32(p.unfragmentable)
	switch {
	case length == 0:
		return p, defrag.Jumbogram, defrag.ICMPError{Type: 4, Pointer: at} // R3
	case policy == defrag.Linux:
		return p, p.soundLinux(rest, truncated), owed
	case len(rest) < 8:
		return p, defrag.TruncatedHeader, owed // R4
	case truncated:
		return p, defrag.TruncatedPacket, owed // R5
	}
	v, owed = p.sound()
	return p, v, owed
}

// sound judges a fragment whose header is there.
func (p *naivePacket) sound() (v defrag.Verdict, owed defrag.ICMPError) {
	at := uint32(p.unfragmentable)
	if p.start == 0 {
		if v, owed = p.soundFirst(); v != defrag.Held {
			return v, owed
		}
	}
	switch {
	case p.start == 0 && !p.more:
		return defrag.Held, owed // R10
	case p.more && len(p.data)%8 != 0:
		return defrag.Unaligned, defrag.ICMPError{Type: 4, Pointer: 4} // R14
	case p.end() > 65535:
		return defrag.PastMaximum, defrag.ICMPError{Type: 4, Pointer: at + 2} // R15
	case len(p.data) == 0:
		return defrag.EmptyFragment, owed // R17
	}
	return defrag.Held, owed
}

// naiveUpper returns how much of an upper-layer header must be there.
func naiveUpper(kind uint8) int {
	if n, ok := map[uint8]int{6: 20, 17: 8, 58: 8, 59: 0}[kind]; ok {
		return n
	}
	return 1
}

// soundFirst judges the headers of a first fragment.
func (p *naivePacket) soundFirst() (v defrag.Verdict, owed defrag.ICMPError) {
	kind, rest := p.header[0], p.data
	if kind == 0 {
		return defrag.HopByHopFragmented, defrag.ICMPError{Type: 4, Code: 1, Pointer: uint32(p.unfragmentable)} // R7
	}
	short := defrag.ICMPError{Type: 4, Code: 3}
	for slices.Contains(naiveExtensions, kind) {
		n, ok := naiveExtension(naiveExtensions, kind, rest)
		if !ok {
			return defrag.IncompleteChain, short // R11
		}
		kind = rest[0]
		switch {
		case n > len(rest) && kind == 44:
			return defrag.NestedFragment, owed // R8
		case n > len(rest):
			return defrag.IncompleteChain, short // R11
		}
		rest = rest[n:]
	}
	switch {
	case kind == 44:
		return defrag.NestedFragment, owed // R8
	case len(rest) < naiveUpper(kind):
		return defrag.IncompleteChain, short // R11
	case kind == 58 && slices.Contains([]uint8{133, 134, 135, 136, 137, 148}, rest[0]):
		return defrag.NeighborDiscovery, owed // R9
	}
	return defrag.Held, owed
}

// soundLinux judges a fragment as nf_defrag_ipv6 does before it looks for the
// datagram. rest is the Fragment header, or what is there of it, and the data.
func (p *naivePacket) soundLinux(rest []byte, truncated bool) defrag.Verdict {
	switch {
	case truncated:
		return defrag.TruncatedPacket
	case len(rest) >= 4 && rest[2] == 0 && rest[3]&^7 == 0 && naiveStub(rest[0], rest, 8):
		return defrag.Passed // 3
	case len(rest) < 8:
		return defrag.TruncatedHeader // 4
	case p.end() > 65535:
		return defrag.PastMaximum // 7
	}
	return defrag.Held
}

// naiveStub reports whether octets end before the upper-layer header does. A header
// of type kind stands at position at.
func naiveStub(kind uint8, octets []byte, at int) bool {
	for {
		rest := octets[min(at, len(octets)):]
		switch {
		case kind == 59:
			return false // 3a
		case kind == 44:
			if len(rest) < 4 || rest[2] != 0 || rest[3]&^7 != 0 {
				return false // 3a
			}
			kind = rest[0]
			at += 8
		case slices.Contains(naiveExtensionsLinux, kind):
			n, ok := naiveExtension(naiveExtensionsLinux, kind, rest)
			if !ok {
				return false // 3a
			}
			kind = rest[0]
			at += n
		default:
			return at+naiveUpper(kind) > len(octets) // 3
		}
	}
}
