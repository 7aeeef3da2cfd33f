package stack

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
)

// counters count what the router did with packets of one link.
type counters struct {
	from, to tally // forwarded from the link, and to it
	drops    [NumDropReasons]atomic.Uint64
}

// A tally counts packets and their octets.
type tally struct{ packets, octets atomic.Uint64 }

func (t *tally) add(packets, octets int) {
	t.packets.Add(uint64(packets))
	t.octets.Add(uint64(octets))
}

func (t *tally) snapshot() Traffic {
	return Traffic{Packets: t.packets.Load(), Octets: t.octets.Load()}
}

// A batch is packets on their way to a link. Batches are reused, so that a
// packet costs no allocation.
type batch struct {
	packets gstack.PacketBufferList
	octets  int
	out     *link
	egress  *gstack.RouteInfo            // nil for what is forwarded
	add     func(fragment buffer.Buffer) // the method, bound once
}

var batches = sync.Pool{New: func() any {
	b := new(batch)
	b.add = b.push
	return b
}}

// emit writes the packet to the link out, in fragments if it came so, with a
// hop limit one less.
func (l *link) emit(t *transit, out *link) {
	b := batches.Get().(*batch)
	b.out = out
	packet := t.onward()
	if !t.fragmented() {
		b.add(packet)
	} else if err := defrag.Refragment(&packet, t.datagram, b.add); err != nil {
		l.drop(NotRefragmented)
	}
	l.write(b)
	b.release()
}

// release lets go of the packets and makes the batch ready for others.
func (b *batch) release() {
	b.packets.Reset()
	b.octets, b.out, b.egress = 0, nil, nil
	batches.Put(b)
}

// maxCopy is the size of packets up to which a copy costs less than sharing
// the memory they came in, which would be pinned, too.
const maxCopy = 256

// onward returns the packet as it goes on, the caller's: with a fixed header of
// its own, in which the hop limit is one less, and the rest shared with what
// came, unless it is small.
func (t *transit) onward() buffer.Buffer {
	if t.size <= maxCopy {
		v := buffer.NewViewSize(t.size)
		t.copyOut(v.AsSlice())
		v.AsSlice()[hopLimitOffset]--
		return buffer.MakeWithView(v)
	}
	packet := t.buffer()
	packet.TrimFront(header.IPv6MinimumSize)
	fixed := buffer.NewView(header.IPv6MinimumSize)
	fixed.Write(t.fixed[:])
	fixed.AsSlice()[hopLimitOffset]--
	// Prepend fails only where writing to a view does.
	_ = packet.Prepend(fixed)
	return packet
}

// push adds a packet, which it takes over, with room for a link header.
func (b *batch) push(packet buffer.Buffer) {
	size := int(packet.Size())
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{
		ReserveHeaderBytes: int(b.out.endpoint.MaxHeaderLength()),
		Payload:            packet,
		IsForwardedPacket:  b.egress == nil,
	})
	// The fixed header stands in a view of its own, so nothing is copied.
	pkt.NetworkHeader().Consume(header.IPv6MinimumSize)
	pkt.NetworkProtocolNumber = header.IPv6ProtocolNumber
	if b.egress != nil {
		pkt.EgressRoute = *b.egress
	} else {
		pkt.EgressRoute.NetProto = header.IPv6ProtocolNumber
	}
	pkt.PktType = tcpip.PacketOutgoing
	b.out.endpoint.AddHeader(pkt)
	b.packets.PushBack(pkt)
	b.octets += size
}

// write writes the batch to its link and counts what came of it.
func (l *link) write(b *batch) {
	all := b.packets.Len()
	n, err := b.out.endpoint.WritePackets(b.packets)
	if n == all {
		l.counters.from.add(n, b.octets)
		b.out.counters.to.add(n, b.octets)
		b.out.isUp()
		return
	}
	reason := NoBufferSpace
	if _, closed := err.(*tcpip.ErrClosedForSend); closed {
		reason = LinkDown
		b.out.isDown()
	}
	octets := 0
	for _, pkt := range b.packets.AsSlice()[:n] {
		octets += pkt.Size()
	}
	l.counters.from.add(n, octets)
	b.out.counters.to.add(n, octets)
	l.counters.drops[reason].Add(uint64(all - n))
}

// isDown says, once, that the link takes no packets.
func (l *link) isDown() {
	if !l.down.Load() && !l.down.Swap(true) {
		l.logger.Warn("link down", "link", l.name, "zone", l.zone.name)
	}
}

// isUp says, once, that a link that was down takes packets again.
func (l *link) isUp() {
	if l.down.Load() && l.down.Swap(false) {
		l.logger.Info("link up", "link", l.name, "zone", l.zone.name)
	}
}
