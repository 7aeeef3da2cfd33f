package oracle

import "encoding/binary"

// A fragment is a packet with a whole Fragment header.
type fragment struct {
	// packet is what Payload Length covers of it, whole the packet as it came.
	packet, whole []byte
	chain         chain
	key           datagramKey
	// next is the next-header value of the Fragment header.
	next uint8
	// start and end of the payload in the datagram, in octets.
	start, end int
	more       bool
}

func newFragment(packet []byte, c chain) *fragment {
	field := binary.BigEndian.Uint16(packet[c.at+2:])
	start := int(field &^ 7)
	return &fragment{
		packet: packet, chain: c, key: keyOf(packet, c.at), next: packet[c.at],
		start: start, end: start + len(packet) - c.at - 8, more: field&1 != 0,
	}
}

func (f *fragment) payload() []byte { return f.packet[f.chain.at+8:] }

// ecn returns the two bits of RFC 3168.
func (f *fragment) ecn() uint8 { return f.packet[1] >> 4 & 3 }

// neighborDiscovery reports whether the first fragment f holds one of the
// messages of RFC 6980 section 5.
func (f *fragment) neighborDiscovery() bool {
	t := readTail(f.packet, f.chain.at, false)
	if t.last != protocolICMPv6 || t.room < 1 {
		return false
	}
	switch f.packet[len(f.packet)-t.room] {
	case 133, 134, 135, 136, 137, 148:
		return true
	}
	return false
}
