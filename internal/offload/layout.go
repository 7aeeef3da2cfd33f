package offload

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Numbers of the protocols that are told apart (IANA "Assigned Internet
// Protocol Numbers").
const (
	protoHopByHop           = 0
	protoICMPv4             = 1
	protoTCP                = 6
	protoUDP                = 17
	protoRouting            = 43
	protoFragment           = 44
	protoAH                 = 51
	protoICMPv6             = 58
	protoDestinationOptions = 60
)

// A layout says where the parts of a packet are.
type layout struct {
	version   int   // 4 or 6
	protocol  uint8 // of the transport header
	transport int   // where that begins
	end       int   // where the packet ends, by its own length
	// fragmented says that there is a Fragment header, or what IPv4 has for it,
	// and piece, that the packet is not a whole datagram. What stands behind
	// the headers of a piece is not looked at.
	fragmented, piece bool
	// authenticated says that there is an Authentication header.
	authenticated bool
	// detoured says that a Routing header is not used up, so that the packet's
	// destination is not the one that the checksum covers.
	detoured bool
	// addresses is the sum of both addresses, unless the packet is a piece.
	addresses uint16
}

// pseudo returns the sum of the pseudo-header of a transport header and its
// payload, of length octets together.
func (l *layout) pseudo(length int) uint16 {
	return checksum.Combine(checksum.Combine(l.addresses, uint16(length)), uint16(l.protocol))
}

// layout walks the headers of the packet. ok is false where headers or payload
// are cut off, be it by the packet's own length, and where this is neither IPv4
// nor IPv6.
func (o *octets) layout() (l layout, ok bool) {
	version := o.at(0, 1)
	if version == nil {
		return l, false
	}
	switch version[0] >> 4 {
	case header.IPv4Version:
		return o.layout4()
	case header.IPv6Version:
		return o.layout6()
	}
	return l, false
}

func (o *octets) layout4() (l layout, ok bool) {
	ip := header.IPv4(o.at(0, header.IPv4MinimumSize))
	if ip == nil {
		return l, false
	}
	l = layout{
		version:    4,
		protocol:   ip.Protocol(),
		transport:  int(ip.HeaderLength()),
		end:        int(ip.TotalLength()),
		fragmented: ip.More() || ip.FragmentOffset() != 0,
		addresses:  checksum.Checksum(ip[12:20], 0),
	}
	l.piece = l.fragmented
	if l.transport < header.IPv4MinimumSize || l.transport > l.end || l.end > o.limit {
		return l, false
	}
	return l, true
}

func (o *octets) layout6() (l layout, ok bool) {
	ip := header.IPv6(o.at(0, header.IPv6MinimumSize))
	if ip == nil {
		return l, false
	}
	l = layout{
		version:   6,
		protocol:  ip.NextHeader(),
		transport: header.IPv6MinimumSize,
		end:       header.IPv6MinimumSize + int(ip.PayloadLength()),
	}
	if l.end > o.limit {
		return l, false
	}
	for !l.piece {
		length, ok := o.extension(&l)
		if !ok {
			return l, false
		}
		if length == 0 {
			l.addresses = checksum.Checksum(o.at(addressesOffset, 2*header.IPv6AddressSize), 0)
			return l, true
		}
		if l.transport += length; l.transport > l.end {
			return l, false
		}
	}
	return l, true
}

// addressesOffset is where the addresses stand in the IPv6 header.
const addressesOffset = 8

// extension takes notice of the extension header at l.transport, of the type
// l.protocol, which becomes the type of what follows. It returns the header's
// length, 0 if it is none of IPv6's; ok is false where it is cut off.
func (o *octets) extension(l *layout) (length int, ok bool) {
	here := l.protocol
	switch here {
	case protoHopByHop, protoRouting, protoDestinationOptions, protoAH, protoFragment:
	default:
		return 0, true
	}
	e := o.at(l.transport, 4)
	if e == nil {
		return 0, false
	}
	l.protocol = e[0]
	length = 8 * (int(e[1]) + 1)
	switch here {
	case protoRouting:
		l.detoured = l.detoured || e[3] != 0
	case protoAH: // RFC 4302 section 2.2
		l.authenticated = true
		length = 4 * (int(e[1]) + 2)
	case protoFragment:
		const offsetAndMore = 0xfff9
		l.fragmented = true
		l.piece = binary.BigEndian.Uint16(e[2:])&offsetAndMore != 0
		length = header.IPv6FragmentHeaderSize
	}
	return length, true
}
