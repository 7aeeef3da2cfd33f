package oracle

import (
	"encoding/binary"
	"net/netip"
)

// Next-header values.
const (
	protocolHopByHop    = 0
	protocolTCP         = 6
	protocolUDP         = 17
	protocolRouting     = 43
	protocolFragment    = 44
	protocolESP         = 50
	protocolAH          = 51
	protocolICMPv6      = 58
	protocolNone        = 59
	protocolDestination = 60
	protocolSCTP        = 132
	protocolMobility    = 135
	protocolHIP         = 139
	protocolShim6       = 140
)

// headerLength is that of the IPv6 header.
const headerLength = 40

// A Packet describes an IPv6 packet to build. The zero value has unspecified
// addresses and no payload.
type Packet struct {
	Source, Destination    netip.Addr
	TrafficClass, HopLimit uint8
	FlowLabel              uint32
	// Extensions in front of the Fragment header.
	Extensions []Extension
	// Fragmented says that there is a Fragment header, of which the next four
	// fields are. Offset is in units of 8 octets, Reserved the octet and, from
	// bit 8 on, the two bits that have no meaning.
	Fragmented     bool
	Identification uint32
	Offset         int
	More           bool
	Reserved       uint16
	// NextHeader is that of the last header described, and Payload follows it.
	NextHeader uint8
	Payload    []byte
	// Padding octets follow, which Payload Length does not cover.
	Padding int
}

// An Extension is an extension header.
type Extension struct {
	// Type is the next-header value that announces it.
	Type uint8
	// Octets of the header; Bytes fills in the first two.
	Octets []byte
}

// appendChain appends the headers, each announcing the next, and returns the
// announcement of the first.
func appendChain(packet []byte, extensions []Extension, next uint8) ([]byte, uint8) {
	for i, e := range extensions {
		at := len(packet)
		packet = append(packet, e.Octets...)
		packet[at] = next
		if i+1 < len(extensions) {
			packet[at] = extensions[i+1].Type
		}
		packet[at+1] = uint8(len(e.Octets)/8 - 1)
		if e.Type == protocolAH {
			packet[at+1] = uint8(len(e.Octets)/4 - 2)
		}
	}
	if len(extensions) > 0 {
		return packet, extensions[0].Type
	}
	return packet, next
}

// Bytes returns the packet. Its Payload Length is right as far as it fits in
// 16 bits.
func (p *Packet) Bytes() []byte {
	packet := make([]byte, headerLength, headerLength+8+len(p.Payload)+p.Padding)
	binary.BigEndian.PutUint32(packet, 6<<28|uint32(p.TrafficClass)<<20|p.FlowLabel&0xfffff)
	packet[7] = p.HopLimit
	source, destination := p.Source.As16(), p.Destination.As16()
	copy(packet[8:], source[:])
	copy(packet[24:], destination[:])
	next := p.NextHeader
	if p.Fragmented {
		next = protocolFragment
	}
	packet, next = appendChain(packet, p.Extensions, next)
	packet[6] = next
	if p.Fragmented {
		packet = append(packet, p.NextHeader, uint8(p.Reserved))
		field := uint16(p.Offset)<<3 | p.Reserved>>8&3<<1
		if p.More {
			field |= 1
		}
		packet = binary.BigEndian.AppendUint16(packet, field)
		packet = binary.BigEndian.AppendUint32(packet, p.Identification)
	}
	packet = append(packet, p.Payload...)
	setPayloadLength(packet, len(packet)-headerLength)
	return append(packet, make([]byte, p.Padding)...)
}

func setPayloadLength(packet []byte, length int) {
	binary.BigEndian.PutUint16(packet[4:], uint16(length))
}

func payloadLength(packet []byte) int { return int(binary.BigEndian.Uint16(packet[4:])) }

// sourceOf returns the packet's source address.
func sourceOf(packet []byte) netip.Addr { return netip.AddrFrom16([16]byte(packet[8:24])) }

// destinationOf returns the packet's destination address.
func destinationOf(packet []byte) netip.Addr { return netip.AddrFrom16([16]byte(packet[24:40])) }

// address returns a fixed address.
func address(s string) netip.Addr { return netip.MustParseAddr(s) }
