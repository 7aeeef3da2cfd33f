package capture

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/v6stack/v6stack/defrag"
)

// answerHopLimit is the hop limit of the errors, as Linux and gVisor set it.
const answerHopLimit = 64

// answer returns the ICMPv6 error that the destination of packet owes its
// source; ok is false if it owes none. packet is as received, without a link
// header.
func answer(owed defrag.ICMPError, packet []byte) (reply []byte, ok bool) {
	if owed == (defrag.ICMPError{}) || len(packet) < ipv6Header || !answerable(packet) {
		return nil, false
	}
	const icmpHeader = 8
	quote := packet[:min(len(packet), header.IPv6MinimumMTU-ipv6Header-icmpHeader)]
	reply = make([]byte, ipv6Header+icmpHeader, ipv6Header+icmpHeader+len(quote))
	reply = append(reply, quote...)
	source := tcpip.AddrFrom16([16]byte(packet[24:40]))
	destination := tcpip.AddrFrom16([16]byte(packet[8:24]))
	header.IPv6(reply).Encode(&header.IPv6Fields{
		PayloadLength:     uint16(len(reply) - ipv6Header),
		TransportProtocol: header.ICMPv6ProtocolNumber,
		HopLimit:          answerHopLimit,
		SrcAddr:           source,
		DstAddr:           destination,
	})
	message := header.ICMPv6(reply[ipv6Header:])
	message.SetType(header.ICMPv6Type(owed.Type))
	message.SetCode(header.ICMPv6Code(owed.Code))
	binary.BigEndian.PutUint32(message[4:], owed.Pointer)
	message.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
		Header: message, Src: source, Dst: destination,
	}))
	return reply, true
}

// answerable reports whether packet may be answered with an error at all (RFC
// 4443 section 2.4 (e)).
func answerable(packet []byte) bool {
	source, destination := addresses(packet)
	return !destination.IsMulticast() && source != destination &&
		!source.IsUnspecified() && !source.IsMulticast() && !source.IsLoopback() &&
		!isICMPError(packet)
}
