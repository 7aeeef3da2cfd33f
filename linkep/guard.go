package linkep

import (
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// admit reports whether the reassembled datagram in g may go up. Reassembling
// ahead of gVisor takes some of gVisor's own guards away; these stand in for
// them. What is refused is counted.
func (e *Endpoint) admit(g *gathering) bool {
	r := bufferReader(&g.packet)
	switch {
	case hidesFragment(r) && !showsFragment(r):
		e.counters.hidden.Add(1)
	case isNeighborDiscovery(r):
		e.counters.neighborDiscovery.Add(1)
	case e.mustVerify(g) && !checksumValid(&g.packet):
		e.counters.badChecksum.Add(1)
	default:
		return true
	}
	return false
}

// showsFragment reports whether [engineStrides] lead to a Fragment header, as
// they may with policy linux.
func showsFragment(r reader) bool {
	protocol, _, ok := walk(r, &engineStrides)
	return ok && isFragment(protocol)
}

// isNeighborDiscovery reports whether the packet at r carries one of the
// messages that RFC 6980 section 5 forbids to fragment, whichever way the
// header chain is read.
func isNeighborDiscovery(r reader) bool {
	return leadsToDiscovery(r, &engineStrides) || leadsToDiscovery(r, &gvisorStrides)
}

func leadsToDiscovery(r reader, s *strides) bool {
	protocol, offset, ok := walk(r, s)
	if !ok || protocol != uint8(header.ICMPv6ProtocolNumber) {
		return false
	}
	message, ok := r.octet(offset)
	return ok && forbidsFragments(header.ICMPv6Type(message))
}

// certificationPathSolicitation is defined in RFC 3971.
const certificationPathSolicitation header.ICMPv6Type = 148

func forbidsFragments(message header.ICMPv6Type) bool {
	switch message {
	case header.ICMPv6RouterSolicit, header.ICMPv6RouterAdvert,
		header.ICMPv6NeighborSolicit, header.ICMPv6NeighborAdvert,
		header.ICMPv6RedirectMsg,
		certificationPathSolicitation:
		return true
	}
	return false
}

// mustVerify reports whether nobody else verifies the datagram's transport
// checksum: below a NIC on an endpoint that advertises checksum offload gVisor
// verifies none.
func (e *Endpoint) mustVerify(g *gathering) bool {
	return e.lower.Capabilities()&gstack.CapabilityRXChecksumOffload != 0 && !g.vouched()
}

// vouched reports whether the link vouches for the datagram's transport
// checksum. Only of an atomic fragment can it have seen all that is summed.
func (g *gathering) vouched() bool {
	return g.datagram.Metadata.ChecksumVerified && len(g.datagram.Boundaries) <= 1
}
