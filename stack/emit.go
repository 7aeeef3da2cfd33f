package stack

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/offload"
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
	sizes   offload.Sizes // of all packets on the wire; Largest is not kept
	out     *link
	egress  *gstack.RouteInfo            // nil for what is forwarded
	add     func(fragment buffer.Buffer) // the method, bound once
}

var batches = sync.Pool{New: func() any {
	b := new(batch)
	b.add = b.push
	return b
}}

// emit writes the packet to the link out, in fragments if it came so and in
// segments if need be, with a hop limit one less.
func (l *link) emit(t *transit, out *link) {
	b := batches.Get().(*batch)
	b.out = out
	packet := t.onward()
	switch {
	case t.fragmented():
		if err := defrag.Refragment(&packet, t.datagram, b.add); err != nil {
			l.drop(t, NotRefragmented)
		}
	case t.unfinished():
		if err := b.addCut(packet, &t.cut); err != nil {
			l.drop(t, Malformed)
		}
	default:
		b.add(packet)
	}
	l.write(b)
	b.release()
}

// release lets go of the packets and makes the batch ready for others.
func (b *batch) release() {
	b.packets.Reset()
	b.sizes, b.out, b.egress = offload.Sizes{}, nil, nil
	batches.Put(b)
}

// maxCopy is the size of packets up to which a copy costs less than sharing
// the memory they came in, which would be pinned, too.
const maxCopy = 256

// onward returns the packet as it goes on, the caller's: with headers of its
// own, in which the hop limit is one less, and the rest shared with what came,
// unless it is small. The packet has been measured.
func (t *transit) onward() buffer.Buffer {
	own := max(t.headers, header.IPv6MinimumSize)
	if t.size <= maxCopy {
		own = t.size
	}
	headers := buffer.NewViewSize(own)
	t.copyOut(headers.AsSlice())
	headers.AsSlice()[hopLimitOffset]--
	packet := buffer.MakeWithView(headers)
	if own < t.size {
		rest := t.buffer()
		rest.TrimFront(int64(own))
		packet.Merge(&rest)
	}
	return packet
}

// push adds a finished packet, which it takes over.
func (b *batch) push(packet buffer.Buffer) {
	size := int(packet.Size())
	pkt := b.newPacket(packet)
	// The headers stand in a view of their own, so nothing is copied.
	pkt.NetworkHeader().Consume(header.IPv6MinimumSize)
	b.pushBack(pkt, offload.Sizes{Count: 1, Octets: size})
}

// newPacket returns a PacketBuffer of packet, which it takes over, with room for
// a link header.
func (b *batch) newPacket(packet buffer.Buffer) *gstack.PacketBuffer {
	return gstack.NewPacketBuffer(gstack.PacketBufferOptions{
		ReserveHeaderBytes: int(b.out.endpoint.MaxHeaderLength()),
		Payload:            packet,
		IsForwardedPacket:  b.egress == nil,
	})
}

// pushBack adds pkt, whose headers have been parsed. It takes pkt over.
func (b *batch) pushBack(pkt *gstack.PacketBuffer, sizes offload.Sizes) {
	pkt.NetworkProtocolNumber = header.IPv6ProtocolNumber
	if b.egress != nil {
		pkt.EgressRoute = *b.egress
	} else {
		pkt.EgressRoute.NetProto = header.IPv6ProtocolNumber
	}
	pkt.PktType = tcpip.PacketOutgoing
	b.out.endpoint.AddHeader(pkt)
	b.packets.PushBack(pkt)
	b.sizes.Count += sizes.Count
	b.sizes.Octets += sizes.Octets
}

// write writes the batch to its link and counts what came of it.
func (l *link) write(b *batch) {
	n, err := b.out.endpoint.WritePackets(b.packets)
	if n == b.packets.Len() {
		l.count(b.out, b.sizes)
		b.out.isUp()
		return
	}
	reason := NoBufferSpace
	if _, closed := err.(*tcpip.ErrClosedForSend); closed {
		reason = LinkDown
		b.out.isDown()
	}
	// A large segment goes alone, so those written count as what they are.
	written := offload.Sizes{Count: n}
	for _, pkt := range b.packets.AsSlice()[:n] {
		written.Octets += pkt.Size()
	}
	l.count(b.out, written)
	l.counters.drops[reason].Add(uint64(b.sizes.Count - written.Count))
}

// count counts what went from the link to another.
func (l *link) count(out *link, sizes offload.Sizes) {
	l.counters.from.add(sizes.Count, sizes.Octets)
	out.counters.to.add(sizes.Count, sizes.Octets)
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
