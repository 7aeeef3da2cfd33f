package tun

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// flowSpan is how many octets of a packet tell its flow: the fixed IPv6 header
// and ports behind it.
const flowSpan = header.IPv6MinimumSize + 4

// flowHash returns a number that packets of one flow have in common: those of
// the same addresses and, where they stand right behind the fixed header, TCP
// or UDP ports. All fragments of a datagram are of one flow.
func flowHash(pkt *gstack.PacketBuffer) uint32 {
	var octets [flowSpan]byte
	n := copyOut(octets[:], pkt, 0)
	switch {
	case n >= header.IPv6MinimumSize && octets[0]>>4 == header.IPv6Version:
		return mix(octets[8:header.IPv6MinimumSize], ports(octets[header.IPv6MinimumSize:n], octets[6]))
	case n >= header.IPv4MinimumSize && octets[0]>>4 == header.IPv4Version:
		ip := header.IPv4(octets[:n])
		var behind []byte
		if size := int(ip.HeaderLength()); size <= n && !ip.More() && ip.FragmentOffset() == 0 {
			behind = octets[size:n]
		}
		return mix(octets[12:header.IPv4MinimumSize], ports(behind, octets[9]))
	}
	return 0
}

// ports returns both ports of a TCP or UDP header, else 0.
func ports(transport []byte, protocol uint8) uint32 {
	if len(transport) < 4 || protocol != uint8(header.TCPProtocolNumber) && protocol != uint8(header.UDPProtocolNumber) {
		return 0
	}
	return binary.BigEndian.Uint32(transport)
}

// mix folds addresses, a multiple of four octets, and ports into one number
// (FNV-1a, by words).
func mix(addresses []byte, ports uint32) uint32 {
	const offset, prime = 2166136261, 16777619
	hash := (offset ^ ports) * prime
	for ; len(addresses) >= 4; addresses = addresses[4:] {
		hash = (hash ^ binary.BigEndian.Uint32(addresses)) * prime
	}
	return hash ^ hash>>16
}

// copyOut copies octets of pkt, borrowed, from the given position on to dst, and
// returns how many there were.
func copyOut(dst []byte, pkt *gstack.PacketBuffer, from int) (n int) {
	views, offset := pkt.AsViewList()
	offset += from
	for v := views.Front(); v != nil && n < len(dst); v = v.Next() {
		octets := v.AsSlice()
		if offset >= len(octets) {
			offset -= len(octets)
			continue
		}
		n += copy(dst[n:], octets[offset:])
		offset = 0
	}
	return n
}
