// Package wire builds IPv6 packets for tests: whole ones, fragments and the
// upper layers inside them. Every packet is a fresh slice, the caller's.
package wire

import (
	"encoding/binary"
	"net/netip"
)

// Protocol numbers of the next-header fields that tests use.
const (
	HopByHop           = 0
	TCP                = 6
	UDPProtocol        = 17
	Routing            = 43
	FragmentHeader     = 44
	ESP                = 50
	AH                 = 51
	ICMPv6             = 58
	NoNextHeader       = 59
	DestinationOptions = 60
	Mobility           = 135
	HIP                = 139
	Shim6              = 140
)

// A Header is what the fixed IPv6 header of a built packet says. The zero
// HopLimit means 64.
type Header struct {
	Source, Destination netip.Addr
	TrafficClass        uint8
	FlowLabel           uint32
	HopLimit            uint8
	// Extensions stand between the IPv6 header and what is built: the first
	// one's type, and the headers themselves, the last one's next-header octet
	// to be filled in by the builder.
	Extensions Extensions
}

// Extensions is a chain of extension headers under construction. The zero
// value is the empty chain.
type Extensions struct {
	first  uint8
	octets []byte
	last   int // index in octets of the last header's next-header octet
}

// With returns the chain with one more header of that type at its end. body
// is the header; its next-header octet is filled in when the chain goes on.
func (e Extensions) With(kind uint8, body []byte) Extensions {
	octets := append(append([]byte(nil), e.octets...), body...)
	if len(e.octets) == 0 {
		return Extensions{first: kind, octets: octets}
	}
	octets[e.last] = kind
	return Extensions{first: e.first, octets: octets, last: len(e.octets)}
}

// end returns the chain closed by next, and the next-header value before it.
func (e Extensions) end(next uint8) (uint8, []byte) {
	if len(e.octets) == 0 {
		return next, nil
	}
	octets := append([]byte(nil), e.octets...)
	octets[e.last] = next
	return e.first, octets
}

// Options returns an options header (Hop-by-Hop or Destination Options) of
// 8·units octets, filled with PadN.
func Options(units int) []byte {
	body := make([]byte, 8*units)
	body[1] = byte(units - 1)
	for at := 2; at < len(body); {
		n := min(len(body)-at, 7) // Linux takes at most seven octets of padding.
		if n > 1 {                // One octet left is Pad1, 0.
			body[at], body[at+1] = 1, byte(n-2)
		}
		at += n
	}
	return body
}

// Packet returns an IPv6 packet that carries payload, of type next.
func (h Header) Packet(next uint8, payload []byte) []byte {
	first, extensions := h.Extensions.end(next)
	p := make([]byte, 40, 40+len(extensions)+len(payload))
	binary.BigEndian.PutUint32(p, 6<<28|uint32(h.TrafficClass)<<20|h.FlowLabel&0xfffff)
	binary.BigEndian.PutUint16(p[4:], uint16(len(extensions)+len(payload)))
	p[6] = first
	p[7] = h.HopLimit
	if p[7] == 0 {
		p[7] = 64
	}
	source, destination := h.Source.As16(), h.Destination.As16()
	copy(p[8:], source[:])
	copy(p[24:], destination[:])
	return append(append(p, extensions...), payload...)
}

// A Fragment says where a piece of a datagram belongs.
type Fragment struct {
	ID     uint32
	Next   uint8 // of the Fragment header
	Offset int   // in octets, a multiple of 8
	More   bool
}

// Fragment returns the packet of one fragment.
func (h Header) Fragment(f Fragment, payload []byte) []byte {
	body := make([]byte, 8, 8+len(payload))
	body[0] = f.Next
	binary.BigEndian.PutUint16(body[2:], uint16(f.Offset))
	if f.More {
		body[3] |= 1
	}
	binary.BigEndian.PutUint32(body[4:], f.ID)
	return h.Packet(FragmentHeader, append(body, payload...))
}

// Split returns the fragments, in order, of a datagram that carries payload
// of type next, each with size octets of payload but for the last. size must
// be a multiple of 8.
func (h Header) Split(id uint32, next uint8, payload []byte, size int) [][]byte {
	var packets [][]byte
	for at := 0; at < len(payload) || at == 0; at += size {
		end := min(at+size, len(payload))
		f := Fragment{ID: id, Next: next, Offset: at, More: end < len(payload)}
		packets = append(packets, h.Fragment(f, payload[at:end]))
	}
	return packets
}

// UDP returns a UDP datagram with its checksum, for h's addresses.
func (h Header) UDP(sourcePort, destinationPort uint16, payload []byte) []byte {
	d := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(d, sourcePort)
	binary.BigEndian.PutUint16(d[2:], destinationPort)
	binary.BigEndian.PutUint16(d[4:], uint16(8+len(payload)))
	d = append(d, payload...)
	sum := h.Checksum(UDPProtocol, d)
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(d[6:], sum)
	return d
}

// ICMP returns an ICMPv6 message with its checksum, for h's addresses; rest is
// all that follows the checksum.
func (h Header) ICMP(kind, code uint8, rest []byte) []byte {
	m := append([]byte{kind, code, 0, 0}, rest...)
	binary.BigEndian.PutUint16(m[2:], h.Checksum(ICMPv6, m))
	return m
}

// Echo returns an ICMPv6 echo request.
func (h Header) Echo(ident, sequence uint16, data []byte) []byte {
	rest := make([]byte, 4, 4+len(data))
	binary.BigEndian.PutUint16(rest, ident)
	binary.BigEndian.PutUint16(rest[2:], sequence)
	return h.ICMP(128, 0, append(rest, data...))
}

// Checksum returns the Internet checksum of message under h's pseudo-header
// (RFC 8200 section 8.1). Over a message that holds its right checksum it is 0.
func (h Header) Checksum(next uint8, message []byte) uint16 {
	source, destination := h.Source.As16(), h.Destination.As16()
	sum := uint32(len(message)) + uint32(next)
	for _, octets := range [][]byte{source[:], destination[:], message} {
		for i, octet := range octets {
			if i%2 == 0 {
				sum += uint32(octet) << 8
			} else {
				sum += uint32(octet)
			}
			if sum > 1<<30 {
				sum = sum>>16 + sum&0xffff
			}
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// Payload returns n octets, no two neighbouring 8-octet pieces alike.
func Payload(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i>>11 ^ i>>3*7 ^ i*31)
	}
	return p
}
