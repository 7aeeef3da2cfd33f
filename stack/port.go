package stack

import (
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/linkep"
)

// A port is what gVisor's NIC of a link stands on. Packets of ours that gVisor
// sends through the NIC go through it to the link that the router's table
// names, no larger than the path takes.
type port struct {
	*linkep.Endpoint
	link *link
	up   atomic.Pointer[gstack.NetworkDispatcher]
}

var (
	_ gstack.LinkEndpoint = (*port)(nil)
	_ gstack.GSOEndpoint  = (*port)(nil)
)

// Attach implements [gstack.LinkEndpoint].
func (p *port) Attach(dispatcher gstack.NetworkDispatcher) {
	if dispatcher == nil {
		p.up.Store(nil)
	} else {
		p.up.Store(&dispatcher)
	}
	p.Endpoint.Attach(dispatcher)
}

// WritePackets implements [gstack.LinkEndpoint]. Its error is of
// [linkep.Endpoint.WritePackets].
func (p *port) WritePackets(packets gstack.PacketBufferList) (int, tcpip.Error) {
	lane := p.link.lane.Load()
	paths := &p.link.zone.paths
	if lane == nil || !lane.forward && paths.empty() {
		return p.Endpoint.WritePackets(packets)
	}
	for i, pkt := range packets.AsSlice() {
		if err := p.send(lane, pkt); err != nil {
			return i, err
		}
	}
	return packets.Len(), nil
}

// send sends one packet of ours. It borrows pkt.
func (p *port) send(lane *lane, pkt *gstack.PacketBuffer) tcpip.Error {
	out := p.link
	if pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber {
		ip := header.IPv6(pkt.NetworkHeader().Slice())
		destination := netip.AddrFrom16(ip.DestinationAddress().As16())
		if lane.forward {
			out = lane.leave(p.link, destination)
		}
		if mtu, ok := p.link.zone.paths.mtu(destination, p.link.clock.NowMonotonic()); ok && pkt.Size() > int(mtu) {
			return out.split(pkt, int(mtu))
		}
	}
	return out.send(pkt)
}

// leave returns the link through which a packet of ours leaves that gVisor
// sends through l: another one of the zone where the table says so.
func (lane *lane) leave(l *link, destination netip.Addr) *link {
	if destination.IsMulticast() || destination.IsLinkLocalUnicast() {
		return l
	}
	if to, found := lane.table.Lookup(destination); found && to.kind != ours && to.link.zone == l.zone {
		return to.link
	}
	return l
}

// send writes one packet to the link. It borrows pkt.
func (l *link) send(pkt *gstack.PacketBuffer) tcpip.Error {
	b := batches.Get().(*batch)
	b.packets.PushBack(pkt.IncRef())
	_, err := l.endpoint.WritePackets(b.packets)
	b.release()
	return err
}
