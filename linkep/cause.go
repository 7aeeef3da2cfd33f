package linkep

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
)

// A cause is what a dropped packet says about the ICMPv6 error it causes.
type cause struct {
	source, destination tcpip.Address
	linkHeader          header.Ethernet // empty on a link without one
	isError             bool            // an ICMPv6 error or Redirect, or perhaps one
}

// parseDrop reads the packet of a drop; ok is false if there is none.
func parseDrop(drop *defrag.Drop) (c cause, ok bool) {
	if drop.Packet == nil {
		return cause{}, false
	}
	if c, ok = parseCause(drop.Packet); ok && drop.Metadata.LinkHeader.Len() >= header.EthernetMinimumSize {
		c.linkHeader = drop.Metadata.LinkHeader.AsSlice()
	}
	return c, ok
}

// parseCause reads a packet without link header; ok is false if it is cut off.
func parseCause(packet *buffer.Buffer) (c cause, ok bool) {
	var octets [header.IPv6MinimumSize]byte
	if packet.Size() < int64(len(octets)) {
		return cause{}, false
	}
	// An error says that the packet ends here, which is no harm.
	_, _ = packet.ReadAt(octets[:], 0)
	ip := header.IPv6(octets[:])
	return cause{
		source:      ip.SourceAddress(),
		destination: ip.DestinationAddress(),
		isError:     mayBeError(packet),
	}, true
}

// mayBeError reports whether packet is an ICMPv6 error message or a Redirect,
// or is ICMPv6 whose type is cut off, so that it may be. Later fragments do not
// tell what they belong to.
func mayBeError(packet *buffer.Buffer) bool {
	r := bufferReader(packet)
	protocol, offset, ok := walk(r, &causeStrides)
	if !ok || protocol != uint8(header.ICMPv6ProtocolNumber) {
		return false
	}
	message, ok := r.octet(offset)
	// RFC 4443 section 2.1: error messages have types 0 to 127.
	return !ok || message < 128 || header.ICMPv6Type(message) == header.ICMPv6RedirectMsg
}

// replySource returns the address that an error caused by c is sent from; ok
// is false where RFC 4443 section 2.4(e) forbids the error, or no address fits.
//
//	destination             NIC                          from
//	an address of ours                                   it
//	another, in transit     any                          transit's answer
//	another                 promiscuous, with addresses  the primary address
//	another                 promiscuous or spoofing,     it
//	                        without addresses
//	another                 any other                    none
//
// A spoofing NIC says of every address that it is its own.
func (c *cause) replySource(nic gstack.NetworkInterface, transit transit) (source tcpip.Address, ok bool) {
	if c.isError || !isHost(c.source) || !isHost(c.destination) || c.linkIsGroup() || !nic.Enabled() {
		return tcpip.Address{}, false
	}
	primary, err := nic.PrimaryAddress(header.IPv6ProtocolNumber)
	if err != nil || c.sourceIsOurs(nic, primary.Address) {
		return tcpip.Address{}, false
	}
	source = c.destination
	if nic.CheckLocalAddress(header.IPv6ProtocolNumber, c.destination) {
		return source, source != c.source
	}
	if transit != nil {
		if source, ok = transit(c.source, c.destination); ok {
			return source, isHost(source) && source != c.source
		}
		source = c.destination
	}
	switch {
	case !nic.Promiscuous():
		return tcpip.Address{}, false
	case primary.Address.Unspecified():
	default:
		source = primary.Address
	}
	return source, source != c.source
}

// A transit is Options.Transit.
type transit = func(source, destination tcpip.Address) (from tcpip.Address, ok bool)

// sourceIsOurs reports whether the cause claims to come from ourselves.
func (c *cause) sourceIsOurs(nic gstack.NetworkInterface, primary tcpip.Address) bool {
	if nic.Spoofing() {
		return c.source == primary
	}
	return nic.CheckLocalAddress(header.IPv6ProtocolNumber, c.source)
}

// linkIsGroup reports whether the cause came as a link-layer multicast or
// broadcast.
func (c *cause) linkIsGroup() bool {
	return len(c.linkHeader) > 0 && c.linkHeader[0]&1 != 0
}

// isHost reports whether address can be that of one node on a network.
func isHost(address tcpip.Address) bool {
	return !address.Unspecified() &&
		!header.IsV6MulticastAddress(address) &&
		!header.IsV6LoopbackAddress(address)
}
