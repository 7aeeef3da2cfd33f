package linkep

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
)

// DeliverNetworkPacket implements [gstack.NetworkDispatcher] for the lower
// endpoint. The packet is borrowed for the call.
func (e *Endpoint) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	if protocol == header.IPv6ProtocolNumber {
		r := packetReader(pkt)
		if next, ok := r.octet(header.IPv6NextHeaderOffset); ok && chained[next] {
			e.inspect(pkt)
			return
		}
	}
	e.deliver(protocol, pkt, nil)
}

// DeliverLinkPacket implements [gstack.NetworkDispatcher]: packet sockets see
// the link as it is.
func (e *Endpoint) DeliverLinkPacket(protocol tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	if up := e.up.Load(); up != nil {
		up.dispatcher.DeliverLinkPacket(protocol, pkt)
	}
}

// deliver hands pkt up, unless the filter drops it or it is diverted. d is nil
// for a packet that came whole. It borrows pkt and d.
func (e *Endpoint) deliver(protocol tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer, d *defrag.Datagram) {
	up := e.up.Load()
	if up == nil {
		e.counters.detached.Add(1)
		return
	}
	if e.options.Filter != nil {
		pkt.NetworkProtocolNumber = protocol
		if !e.options.Filter(pkt) {
			e.counters.filtered.Add(1)
			return
		}
	}
	if e.options.Divert != nil {
		pkt.NetworkProtocolNumber = protocol
		if e.options.Divert(pkt, d) {
			return
		}
	}
	up.dispatcher.DeliverNetworkPacket(protocol, pkt)
}

// inspect looks for a Fragment header in an IPv6 packet with extension headers.
// It borrows pkt.
func (e *Endpoint) inspect(pkt *gstack.PacketBuffer) {
	r := packetReader(pkt)
	switch protocol, _, ok := walk(r, &engineStrides); {
	case ok && isFragment(protocol):
		e.gather(pkt)
	case hidesFragment(r):
		e.counters.hidden.Add(1)
	default:
		e.deliver(header.IPv6ProtocolNumber, pkt, nil)
	}
}

// hidesFragment reports whether gVisor finds a Fragment header in the packet
// at r, in which [engineStrides] lead to none.
func hidesFragment(r reader) bool {
	protocol, _, ok := walk(r, &gvisorStrides)
	return ok && isFragment(protocol)
}

// A gathering is what goes into [defrag.Engine.Gather] and comes out. It is
// reused, so that a fragment costs no allocation.
type gathering struct {
	packet   buffer.Buffer
	metadata defrag.Metadata
	datagram defrag.Datagram
}

// gather feeds a fragment to the engine and hands up what comes of it. It
// borrows pkt: the engine gets references to its views.
func (e *Endpoint) gather(pkt *gstack.PacketBuffer) {
	if e.up.Load() == nil {
		e.counters.detached.Add(1)
		return
	}
	g := e.gatherings.Get().(*gathering)
	e.describe(pkt, &g.metadata)
	g.packet = pkt.Data().ToBuffer()
	switch verdict := e.engine.Gather(&g.packet, &g.metadata, &g.datagram); verdict {
	case defrag.Held:
		e.flushIfDetached()
	case defrag.Reassembled, defrag.Atomic:
		e.deliverDatagram(pkt, g)
	case defrag.Passed:
		g.packet.Release()
		pkt.GSOOptions = gstack.GSO{}
		e.deliver(header.IPv6ProtocolNumber, pkt, nil)
	default:
		g.packet.Release()
	}
	e.gatherings.Put(g)
}

// describe fills in the metadata of pkt. The link header is read before
// anything shares the packet's memory, because reading it from shared memory
// copies the whole chunk.
func (e *Endpoint) describe(pkt *gstack.PacketBuffer, m *defrag.Metadata) {
	*m = defrag.Metadata{
		Zone:             e.options.Zone,
		Link:             e.link,
		ChecksumVerified: pkt.RXChecksumValidated,
		Handler:          e,
	}
	if pkt.HeaderSize() > 0 {
		m.LinkHeader, _ = defrag.MakeLinkHeader(pkt.LinkHeader().Slice())
	}
	if e.options.ZoneOf != nil {
		m.Zone = e.options.ZoneOf(pkt)
	}
}

// flushIfDetached makes good for a fragment that was gathered while the
// endpoint was being detached, perhaps after the engine had let go of the
// link's fragments.
func (e *Endpoint) flushIfDetached() {
	if e.up.Load() == nil {
		e.engine.FlushLink(e.link)
	}
}

// deliverDatagram hands up the datagram in g, which pkt completed, and leaves
// g empty. It borrows pkt.
func (e *Endpoint) deliverDatagram(pkt *gstack.PacketBuffer, g *gathering) {
	if !e.admit(g) {
		g.packet.Release()
		return
	}
	whole := newPacket(pkt, g)
	if e.options.OnDatagram != nil {
		whole.NetworkProtocolNumber = header.IPv6ProtocolNumber
		e.options.OnDatagram(whole, &g.datagram)
	}
	e.deliver(header.IPv6ProtocolNumber, whole, &g.datagram)
	whole.DecRef()
}

// newPacket returns a packet of the datagram in g, which it takes over. What
// the link says of a packet is that of last, the fragment that arrived last;
// segmentation offload (GSO) is not among it.
func newPacket(last *gstack.PacketBuffer, g *gathering) *gstack.PacketBuffer {
	linkHeader := &g.datagram.Metadata.LinkHeader
	if linkHeader.Len() > 0 {
		// Prepend fails only where writing to a view does.
		_ = g.packet.Prepend(buffer.NewViewWithData(linkHeader.AsSlice()))
	}
	whole := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: g.packet, Mark: last.Mark})
	g.packet = buffer.Buffer{}
	if linkHeader.Len() > 0 {
		whole.LinkHeader().Consume(linkHeader.Len())
	}
	whole.PktType = last.PktType
	whole.RXChecksumValidated = g.vouched()
	return whole
}
