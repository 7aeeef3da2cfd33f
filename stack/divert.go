package stack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/linkep"
	"github.com/v6stack/v6stack/stack/filter"
)

// divert sees each whole packet that came from the link and reports whether it
// is taken care of; all others go up to the link's NIC. It borrows both
// arguments.
//
//	destination          fate
//	multicast, on-link   up
//	ours                 up, perhaps through the NIC that has the address
//	any other            forwarded or dropped, where the router is on
func (l *link) divert(pkt *gstack.PacketBuffer, d *defrag.Datagram) bool {
	lane := l.lane.Load()
	if lane == nil || pkt.NetworkProtocolNumber != header.IPv6ProtocolNumber {
		return false
	}
	var t transit
	if !t.read(pkt, d) {
		return false // gVisor counts it.
	}
	destination := t.destination()
	if destination.IsMulticast() || destination.IsLinkLocalUnicast() {
		return false
	}
	to, found := lane.table.Lookup(destination)
	if found && to.kind == ours && !l.learnPathMTU(lane, &t) {
		l.drop(&t, SmallPathMTU)
		return true
	}
	if !lane.forward {
		return false
	}
	if reason, ok := l.admit(lane, &t, destination); !ok {
		l.drop(&t, reason)
		return true
	}
	switch {
	case !found:
		l.unreachable(lane, &t)
	case to.kind != ours:
		l.forward(lane, &t, to)
	case to.link == l:
		return false
	default:
		l.handOver(&t, to.link)
	}
	return true
}

// admit reports whether the packet may be forwarded, or go up, as far as its
// addresses and its length tell; else the reason. It answers link-local
// sources.
func (l *link) admit(lane *lane, t *transit, destination netip.Addr) (reason DropReason, ok bool) {
	if destination.IsLoopback() || destination.IsUnspecified() {
		return BadDestination, false
	}
	if t.malformed() {
		return Malformed, false
	}
	source := t.source()
	switch {
	case source.IsUnspecified(), source.IsMulticast(), source.IsLoopback():
		return BadSource, false
	case source.IsLinkLocalUnicast():
		if to, found := lane.table.Lookup(destination); found && to.kind == ours && to.link == l {
			return 0, true
		}
		l.answer(lane, t, linkep.Error{Type: header.ICMPv6DstUnreachable, Code: beyondScope})
		return BadSource, false
	}
	if lane.isSpoofed(l, source) {
		return SpoofedSource, false
	}
	return 0, true
}

// isSpoofed reports whether the source of a packet from l is ours, or, where
// that matters, reached through another link (RFC 3704 section 2.2, strict
// reverse path).
func (lane *lane) isSpoofed(l *link, source netip.Addr) bool {
	from, found := lane.table.Lookup(source)
	return found && from.kind == ours || lane.checkSource && (!found || from.link != l)
}

// Codes of Destination Unreachable that gVisor has no names for (RFC 4443
// section 3.1).
const (
	beyondScope        header.ICMPv6Code = 2
	addressUnreachable header.ICMPv6Code = 3
)

// forward sends the packet to where it goes, or says why not.
func (l *link) forward(lane *lane, t *transit, to hop) {
	out := to.link
	t.measure()
	switch {
	case t.unfinished() && t.headers == 0:
		l.drop(t, Malformed)
		return
	case out == l && to.kind == neighbor:
		// RFC 4443 section 3.1: sent back it would circle on the link.
		l.drop(t, NoRoute)
		l.answer(lane, t, linkep.Error{Type: header.ICMPv6DstUnreachable, Code: addressUnreachable})
		return
	case lane.isForeign(t, l, out):
		l.unreachable(lane, t)
		return
	}
	switch lane.judge(t, l, out) {
	case filter.Deny:
		l.drop(t, Denied)
		return
	case filter.Reject:
		l.drop(t, Rejected)
		l.answer(lane, t, linkep.Error{Type: header.ICMPv6DstUnreachable, Code: header.ICMPv6Prohibited})
		return
	}
	if t.hopLimit() <= 1 {
		l.exceeded(lane, t)
		return
	}
	if mtu := out.endpoint.MTU(); t.largest() > int(mtu) {
		l.drop(t, PacketTooBig)
		l.answer(lane, t, linkep.Error{Type: header.ICMPv6PacketTooBig, Value: mtu})
		return
	}
	l.emit(t, out)
}

// isForeign reports whether a packet that crosses to another zone would reach
// one of our own addresses there: those belong to their zone.
func (lane *lane) isForeign(t *transit, in, out *link) bool {
	if in.zone == out.zone {
		return false
	}
	there, found := lane.tables[out.zone].Lookup(t.destination())
	return found && there.kind == ours
}

// unreachable drops a packet that no route is for.
func (l *link) unreachable(lane *lane, t *transit) {
	if t.hopLimit() <= 1 {
		l.exceeded(lane, t)
		return
	}
	l.drop(t, NoRoute)
	l.answer(lane, t, linkep.Error{Type: header.ICMPv6DstUnreachable, Code: header.ICMPv6NetworkUnreachable})
}

// exceeded drops a packet that may go no further.
func (l *link) exceeded(lane *lane, t *transit) {
	l.drop(t, HopLimitExceeded)
	l.answer(lane, t, linkep.Error{Type: header.ICMPv6TimeExceeded, Code: header.ICMPv6HopLimitExceeded})
}

// answer sends an ICMPv6 error about the packet down the link it came from.
func (l *link) answer(lane *lane, t *transit, owed linkep.Error) {
	owed.Source = lane.errorSource
	cause := t.cause()
	l.endpoint.SendError(&cause, owed)
	cause.Release()
}

// transitSource says whether a fragment that reassembly dropped would have been
// forwarded, or gone up through another link's NIC, and what address of ours the
// error for it is sent from.
func (l *link) transitSource(source, destination tcpip.Address) (from tcpip.Address, ok bool) {
	lane := l.lane.Load()
	if lane == nil || !lane.forward {
		return tcpip.Address{}, false
	}
	sender := netip.AddrFrom16(source.As16())
	to, found := lane.table.Lookup(netip.AddrFrom16(destination.As16()))
	if !found || sender.IsLinkLocalUnicast() || lane.isSpoofed(l, sender) {
		return tcpip.Address{}, false
	}
	if to.kind == ours || lane.errorSource.Len() == 0 {
		return destination, true
	}
	return lane.errorSource, true
}

// drop counts a dropped packet, a large segment as the packets it stands for.
func (l *link) drop(t *transit, reason DropReason) {
	t.measure()
	l.counters.drops[reason].Add(uint64(t.sizes.Count))
}

// addressOf returns address in gVisor's terms.
func addressOf(address netip.Addr) tcpip.Address { return tcpip.AddrFrom16(address.As16()) }
