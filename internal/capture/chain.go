package capture

import (
	"encoding/binary"
	"net/netip"
)

// Lengths of headers in octets.
const (
	ipv6Header     = 40
	fragmentHeader = 8
)

// Next Header values of the headers that may stand before an upper layer.
const (
	nextHopByHop    = 0
	nextRouting     = 43
	nextFragment    = 44
	nextAH          = 51
	nextICMPv6      = 58
	nextDestination = 60
	nextMobility    = 135
	nextHIP         = 139
	nextShim6       = 140
)

// walk follows the header chain of packet, which holds an IPv6 header, up to a
// header of type stop or to the first that is no extension header. It returns
// the type of that header and where it begins, which may be past the packet.
func walk(packet []byte, stop uint8) (next uint8, offset int) {
	next, offset = packet[6], ipv6Header
	for next != stop && offset+fragmentHeader <= len(packet) {
		length := 8 + 8*int(packet[offset+1])
		switch next {
		case nextHopByHop, nextRouting, nextDestination, nextMobility, nextHIP, nextShim6:
		case nextAH:
			length = 8 + 4*int(packet[offset+1])
		case nextFragment:
			if binary.BigEndian.Uint16(packet[offset+2:])>>3 != 0 {
				return next, offset
			}
			length = fragmentHeader
		default:
			return next, offset
		}
		next, offset = packet[offset], offset+length
	}
	return next, offset
}

// isICMPError reports whether packet is an ICMPv6 error or Redirect, as far as
// it can be told.
func isICMPError(packet []byte) bool {
	next, offset := walk(packet, nextICMPv6)
	if next != nextICMPv6 || offset >= len(packet) {
		return false
	}
	const redirect = 137
	kind := packet[offset]
	return kind < 128 || kind == redirect
}

// addresses returns source and destination of packet.
func addresses(packet []byte) (source, destination netip.Addr) {
	return netip.AddrFrom16([16]byte(packet[8:24])), netip.AddrFrom16([16]byte(packet[24:40]))
}
