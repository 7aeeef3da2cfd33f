package offload

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Valid reports whether packet, borrowed, is a whole IPv4 or IPv6 packet with
// right checksums: IPv4's own and that of TCP, UDP or ICMP. Nothing is known
// against other protocols, pieces of a datagram, a Fragment header in a packet of
// Payload Length 0, and packets whose Routing header is not used up.
func Valid(packet *buffer.Buffer) bool {
	o := octetsOf(packet)
	return o.valid()
}

// ValidPacket is Valid for all of pkt, borrowed.
func ValidPacket(pkt *gstack.PacketBuffer) bool {
	o := octetsOfPacket(pkt)
	return o.valid()
}

func (o *octets) valid() bool {
	l, ok := o.layout()
	if !ok {
		return o.isFragmentedJumbogram()
	}
	return o.headerValid(&l) && (l.piece || l.detoured || o.transportValid(&l))
}

// isFragmentedJumbogram reports whether there is a Fragment header though Payload
// Length is 0, which RFC 2675 section 3 forbids: whoever reassembles tells the
// sender.
func (o *octets) isFragmentedJumbogram() bool {
	ip := header.IPv6(o.at(0, header.IPv6MinimumSize))
	if ip == nil || ip[0]>>4 != header.IPv6Version || ip.PayloadLength() != 0 {
		return false
	}
	l := layout{protocol: ip.NextHeader(), transport: header.IPv6MinimumSize}
	for !l.fragmented {
		length, ok := o.extension(&l)
		if !ok || length == 0 {
			return false
		}
		l.transport += length
	}
	return true
}

// icmpLength is how long an ICMP message is at least, through its checksum.
const icmpLength = 4

// right is what octets add up to that contain their checksum.
const right = 0xffff

// headerValid reports whether the IPv4 header's checksum is right.
func (o *octets) headerValid(l *layout) bool {
	return l.version != 4 || o.sum(0, l.transport) == right
}

// transportValid reports whether the checksum of the transport protocol is
// right.
func (o *octets) transportValid(l *layout) bool {
	length := l.end - l.transport
	switch {
	case l.protocol == protoTCP:
		return length >= header.TCPMinimumSize && o.sumValid(l, length)
	case l.protocol == protoUDP:
		return o.udpValid(l, length)
	case l.protocol == protoICMPv6 && l.version == 6:
		return length >= icmpLength && o.sumValid(l, length)
	case l.protocol == protoICMPv4 && l.version == 4:
		return length >= icmpLength && o.sum(l.transport, l.end) == right
	}
	return true
}

// udpValid is for UDP, which has a length of its own, and over IPv4 not always a
// checksum.
func (o *octets) udpValid(l *layout, available int) bool {
	udp := header.UDP(o.at(l.transport, header.UDPMinimumSize))
	if udp == nil {
		return false
	}
	length := int(udp.Length())
	switch {
	case length < header.UDPMinimumSize || length > available:
		return false
	case udp.Checksum() == 0:
		return l.version == 4 // RFC 8200 section 8.1
	}
	return o.sumValid(l, length)
}

// sumValid reports whether length octets of transport header and payload add up,
// with the pseudo-header.
func (o *octets) sumValid(l *layout, length int) bool {
	return checksum.Combine(l.pseudo(length), o.sum(l.transport, l.transport+length)) == right
}
