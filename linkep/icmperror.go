package linkep

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
)

const (
	errorHopLimit   = 64 // gVisor's default
	errorHeaderSize = header.IPv6MinimumSize + header.ICMPv6ErrorHeaderSize
	// maxQuote keeps an error within the minimum MTU (RFC 4443 section
	// 2.4(c)).
	maxQuote = header.IPv6MinimumMTU - errorHeaderSize
)

// HandleDrop implements [defrag.Handler] for the endpoint's engine: it sends
// the ICMPv6 error that drop calls for, if any, and tells Options.OnDrop.
func (e *Endpoint) HandleDrop(drop *defrag.Drop) {
	if drop.Error != (defrag.ICMPError{}) && !e.options.NoICMPErrors {
		e.reply(drop)
	}
	if e.options.OnDrop != nil {
		e.options.OnDrop(drop)
	}
}

// reply sends the ICMPv6 error that drop calls for, if it may, and counts what
// became of it.
func (e *Endpoint) reply(drop *defrag.Drop) {
	c, source, ok := e.mayReply(drop)
	switch {
	case !ok:
		e.counters.errorsSuppressed.Add(1)
	case !e.allow():
		e.counters.errorsLimited.Add(1)
	case !e.sending.enter():
		e.counters.errorsSuppressed.Add(1)
	default:
		defer e.sending.leave()
		owed := Error{
			Type:  header.ICMPv6Type(drop.Error.Type),
			Code:  header.ICMPv6Code(drop.Error.Code),
			Value: drop.Error.Pointer,
		}
		e.count(e.write(e.newError(drop.Packet, &owed, &c, source)))
	}
}

// count counts an error that was written to the link, which took it or not.
func (e *Endpoint) count(taken bool) {
	if taken {
		e.counters.errorsSent.Add(1)
	} else {
		e.counters.errorsFailed.Add(1)
	}
}

// mayReply returns what drop says about its error, and the error's source
// address; ok is false if no error may be sent. It calls the NIC, which takes
// its locks: nobody who waits for us may hold them.
func (e *Endpoint) mayReply(drop *defrag.Drop) (c cause, source tcpip.Address, ok bool) {
	up := e.up.Load()
	if up == nil || up.nic == nil {
		return cause{}, tcpip.Address{}, false
	}
	if c, ok = parseDrop(drop); !ok {
		return c, tcpip.Address{}, false
	}
	if len(c.linkHeader) == 0 && e.lower.Capabilities()&gstack.CapabilityResolutionRequired != 0 {
		return c, tcpip.Address{}, false // no link address to send it to
	}
	source, ok = c.replySource(up.nic, e.options.Transit)
	return c, source, ok
}

// newError returns the packet of the error that is owed for packet, from source
// to the cause's source, with room for a link header. The caller owns it.
func (e *Endpoint) newError(packet *buffer.Buffer, owed *Error, c *cause, source tcpip.Address) *gstack.PacketBuffer {
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{
		ReserveHeaderBytes: int(e.lower.MaxHeaderLength()) + errorHeaderSize,
		Payload:            quote(packet),
	})
	icmp := header.ICMPv6(pkt.TransportHeader().Push(header.ICMPv6ErrorHeaderSize))
	icmp.SetType(owed.Type)
	icmp.SetCode(owed.Code)
	icmp.SetTypeSpecific(owed.Value)
	icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
		Header:      icmp,
		Src:         source,
		Dst:         c.source,
		PayloadCsum: pkt.Data().Checksum(),
		PayloadLen:  pkt.Data().Size(),
	}))
	length := len(icmp) + pkt.Data().Size()
	header.IPv6(pkt.NetworkHeader().Push(header.IPv6MinimumSize)).Encode(&header.IPv6Fields{
		PayloadLength:     uint16(length),
		TransportProtocol: header.ICMPv6ProtocolNumber,
		HopLimit:          errorHopLimit,
		SrcAddr:           source,
		DstAddr:           c.source,
	})
	pkt.TransportProtocolNumber = header.ICMPv6ProtocolNumber
	pkt.NetworkProtocolNumber = header.IPv6ProtocolNumber
	e.route(pkt, c, source)
	return pkt
}

// quote returns a copy of as much of packet as an error may carry. It is small,
// and sharing it would pin the chunk it stands in.
func quote(packet *buffer.Buffer) buffer.Buffer {
	view := buffer.NewViewSize(int(min(packet.Size(), maxQuote)))
	_, _ = packet.ReadAt(view.AsSlice(), 0)
	return buffer.MakeWithView(view)
}

// route addresses pkt to the neighbor that the cause came from: the way back
// needs no route and no neighbor resolution.
func (e *Endpoint) route(pkt *gstack.PacketBuffer, c *cause, source tcpip.Address) {
	r := &pkt.EgressRoute
	r.NetProto = header.IPv6ProtocolNumber
	r.LocalAddress = source
	r.RemoteAddress = c.source
	r.LocalLinkAddress = e.lower.LinkAddress()
	if len(c.linkHeader) > 0 {
		r.RemoteLinkAddress = c.linkHeader.SourceAddress()
	}
	pkt.PktType = tcpip.PacketOutgoing
}

// write writes pkt, which it takes over, down the link and reports whether the
// link took it.
func (e *Endpoint) write(pkt *gstack.PacketBuffer) bool {
	e.lower.AddHeader(pkt)
	var packets gstack.PacketBufferList
	packets.PushBack(pkt)
	n, _ := e.lower.WritePackets(packets)
	packets.Reset()
	return n == 1
}
