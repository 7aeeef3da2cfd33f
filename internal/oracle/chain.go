package oracle

import (
	"encoding/binary"
	"net/netip"
)

// A chain says where a packet's Fragment header is.
type chain struct {
	// announced is the place of the next-header value 44 and at that of the
	// header, in octets from the start of the packet.
	announced, at int
}

// walked reports whether a walk steps over the header: the kernel's over four
// of them, ours over all that have the common format.
func walked(next uint8, kernel bool) bool {
	switch next {
	case protocolHopByHop, protocolRouting, protocolDestination, protocolAH:
		return true
	case protocolMobility, protocolHIP, protocolShim6:
		return !kernel
	}
	return false
}

// extensionLength returns the length in octets of the header of type next at
// at, of which two octets are there.
func extensionLength(packet []byte, at int, next uint8) int {
	switch next {
	case protocolFragment:
		return 8
	case protocolAH:
		return 4 * (int(packet[at+1]) + 2)
	}
	return 8 * (int(packet[at+1]) + 1)
}

// findFragmentHeader walks from the IPv6 header to the first Fragment header;
// ok is false if the packet ends or another header comes first. Of the
// Fragment header itself nothing needs to be there.
func findFragmentHeader(packet []byte, kernel bool) (c chain, ok bool) {
	if len(packet) < headerLength {
		return chain{}, false
	}
	c = chain{announced: 6, at: headerLength}
	for {
		next := packet[c.announced]
		if next == protocolFragment {
			return c, c.at <= len(packet)
		}
		if !walked(next, kernel) || c.at+2 > len(packet) {
			return c, false
		}
		length := extensionLength(packet, c.at, next)
		c = chain{announced: c.at, at: c.at + length}
	}
}

// A tail says what the headers behind a Fragment header come to.
type tail struct {
	// last is the first header that a walk does not step over, and room how
	// many octets of it are there, below 0 where the headers before it are cut
	// off themselves.
	last uint8
	room int
	// nested says that the walk met another Fragment header, and inner what
	// that one's offset was; the kernel's walk goes on only behind an inner
	// offset of 0.
	nested bool
	inner  uint16
	// short says that the walk met an extension header of which not even two
	// octets are there, or a Fragment header of which not even four.
	short bool
}

// readTail walks the headers behind the Fragment header at at.
func readTail(packet []byte, at int, kernel bool) tail {
	t := tail{last: packet[at]}
	at += 8
	for walked(t.last, kernel) || t.last == protocolFragment {
		if t.last == protocolFragment {
			t.nested = true
			if t.short = at+4 > len(packet); t.short {
				break
			}
			if t.inner = binary.BigEndian.Uint16(packet[at+2:]) >> 3; t.inner != 0 {
				break
			}
		}
		if at+2 > len(packet) {
			t.short = true
			break
		}
		next := packet[at]
		at += extensionLength(packet, at, t.last)
		t.last = next
	}
	t.room = len(packet) - at
	return t
}

// upperLength returns how many octets of the last header a first fragment
// must hold.
func upperLength(last uint8) int {
	switch last {
	case protocolTCP:
		return 20
	case protocolUDP, protocolICMPv6:
		return 8
	case protocolNone:
		return 0
	}
	return 1
}

// stub reports whether the kernel's conntrack hands the first fragment on as
// one that lacks the upper-layer header.
func (t tail) stub() bool {
	if t.last == protocolNone || t.short || t.inner != 0 {
		return false
	}
	return t.room < upperLength(t.last)
}

// incomplete reports whether the first fragment lacks a part of its header
// chain (RFC 7112 section 5).
func (t tail) incomplete() bool { return t.short || t.room < upperLength(t.last) }

// A datagramKey tells datagrams apart.
type datagramKey struct {
	source, destination netip.Addr
	identification      uint32
}

// keyOf returns the key of the packet with a whole Fragment header at at.
func keyOf(packet []byte, at int) datagramKey {
	return datagramKey{
		source:         sourceOf(packet),
		destination:    destinationOf(packet),
		identification: binary.BigEndian.Uint32(packet[at+4:]),
	}
}
