package stack

import (
	"math"
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
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
//
//	no larger than path and link take   as it is
//	TCP that a link is to cut           in smaller segments
//	any other                           in fragments
func (p *port) send(lane *lane, pkt *gstack.PacketBuffer) tcpip.Error {
	out, limit := p.link, math.MaxInt
	if pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber {
		ip := header.IPv6(pkt.NetworkHeader().Slice())
		destination := netip.AddrFrom16(ip.DestinationAddress().As16())
		if lane.forward {
			out = lane.leave(p.link, destination)
		}
		if out != p.link {
			limit = int(out.endpoint.MTU())
		}
		if mtu, ok := p.link.zone.paths.mtu(destination, p.link.clock.NowMonotonic()); ok {
			limit = min(limit, int(mtu))
		}
	}
	switch kind := pkt.GSOOptions.Type; {
	case kind == gstack.GSOTCPv4 || kind == gstack.GSOTCPv6:
		if out != p.link || limit != math.MaxInt {
			return out.sendCut(pkt, limit, out == p.link)
		}
	case pkt.Size()-len(pkt.LinkHeader().Slice()) > limit:
		return out.split(pkt, limit)
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
	defer b.release()
	b.packets.PushBack(pkt.IncRef())
	return l.writeAll(b)
}

// writeAll writes a batch of packets of ours to the link.
func (l *link) writeAll(b *batch) tcpip.Error {
	n, err := l.endpoint.WritePackets(b.packets)
	if n == b.packets.Len() {
		return nil
	}
	return err
}

// sendCut writes a TCP packet of ours that gVisor left to a link to be cut into
// segments and summed, so that none has more than limit octets. The link takes
// it whole if takes is set or it says so itself. It borrows pkt.
func (l *link) sendCut(pkt *gstack.PacketBuffer, limit int, takes bool) tcpip.Error {
	whole := withoutLink(pkt)
	job := offload.JobOf(pkt.GSOOptions, &whole)
	if headers := headersOf(&whole, job.Start); headers > 0 && headers < limit {
		job.MSS = min(job.MSS, limit-headers)
	}
	if takes || l.takes(int(whole.Size())) {
		whole.Release()
		shared := pkt.Clone() // Others may look at pkt, too.
		defer shared.DecRef()
		shared.GSOOptions.MSS = uint16(job.MSS)
		return l.send(shared)
	}
	b := batches.Get().(*batch)
	defer b.release()
	b.out, b.egress = l, &pkt.EgressRoute
	if err := job.Split(&whole, b.add); err != nil {
		return l.send(pkt)
	}
	return l.writeAll(b)
}

// withoutLink returns pkt without a link header, the caller's; its octets are
// shared.
func withoutLink(pkt *gstack.PacketBuffer) buffer.Buffer {
	whole := pkt.ToBuffer()
	whole.TrimFront(int64(len(pkt.LinkHeader().Slice())))
	return whole
}
