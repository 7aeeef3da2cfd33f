package linkep

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// checksumValid reports whether the transport checksum of a whole IPv6 packet
// is right, where the header chain leads gVisor to TCP, UDP or ICMPv6. Of
// anything else it knows nothing wrong. It borrows packet.
func checksumValid(packet *buffer.Buffer) bool {
	protocol, offset, ok := walk(bufferReader(packet), &gvisorStrides)
	if !ok {
		return true
	}
	length := int(packet.Size()) - offset
	switch tcpip.TransportProtocolNumber(protocol) {
	case header.TCPProtocolNumber:
		return length >= header.TCPMinimumSize && sumValid(packet, protocol, offset, length)
	case header.ICMPv6ProtocolNumber:
		return length >= header.ICMPv6MinimumSize && sumValid(packet, protocol, offset, length)
	case header.UDPProtocolNumber:
		return udpSumValid(packet, offset, length)
	}
	return true
}

// udpSumValid is for UDP, which has a length of its own and must have a
// checksum (RFC 8200 section 8.1).
func udpSumValid(packet *buffer.Buffer, offset, available int) bool {
	var octets [header.UDPMinimumSize]byte
	if available < len(octets) {
		return false
	}
	// An error says that the packet ends here, which is no harm.
	_, _ = packet.ReadAt(octets[:], int64(offset))
	udp := header.UDP(octets[:])
	length := int(udp.Length())
	if length < header.UDPMinimumSize || length > available || udp.Checksum() == 0 {
		return false
	}
	return sumValid(packet, uint8(header.UDPProtocolNumber), offset, length)
}

// sumValid reports whether length octets of packet from offset on add up, with
// the pseudo-header, to what the Internet checksum wants.
func sumValid(packet *buffer.Buffer, protocol uint8, offset, length int) bool {
	sum := pseudoHeaderSum(packet, protocol, length)
	if offset+length < int(packet.Size()) {
		part := packet.Clone()
		part.Truncate(int64(offset + length))
		sum = checksum.Combine(sum, part.Checksum(offset))
		part.Release()
	} else {
		sum = checksum.Combine(sum, packet.Checksum(offset))
	}
	return sum == 0xffff
}

// pseudoHeaderSum returns the sum over the pseudo-header (RFC 8200 section
// 8.1). The destination is the IPv6 header's: gVisor delivers nothing whose
// Routing header is not used up.
func pseudoHeaderSum(packet *buffer.Buffer, protocol uint8, length int) uint16 {
	var octets [header.IPv6MinimumSize + 8]byte
	_, _ = packet.ReadAt(octets[:header.IPv6MinimumSize], 0)
	binary.BigEndian.PutUint32(octets[header.IPv6MinimumSize:], uint32(length))
	octets[len(octets)-1] = protocol
	return checksum.Checksum(octets[header.IPv6MinimumSize-2*header.IPv6AddressSize:], 0)
}
