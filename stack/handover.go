package stack

import (
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
)

// handOver hands a packet that is for an address on another link up to that
// link's NIC, which goes by what its own link says about checksums:
//
//	the packet's link checks, the NIC's link   then
//	both, or neither                           as it is
//	yes                   no                   a checksum left out is put in
//	no                    yes                  dropped if the checksum is wrong
func (l *link) handOver(t *transit, to *link) {
	up := to.port.up.Load()
	if up == nil {
		return
	}
	pkt := t.pkt
	switch checked := l.checks(); {
	case checked == to.checks():
	case !checked:
		if !t.valid() {
			l.drop(t, Malformed)
			return
		}
	default:
		t.measure()
		if t.unfinished() {
			if pkt = t.finished(); pkt == nil {
				l.drop(t, Malformed)
				return
			}
			defer pkt.DecRef()
		}
	}
	(*up).DeliverNetworkPacket(header.IPv6ProtocolNumber, pkt)
}

// checks reports whether the NIC of the link relies on the link for checksums.
func (l *link) checks() bool {
	return l.endpoint.Capabilities()&gstack.CapabilityRXChecksumOffload != 0
}

// valid reports whether the packet's checksums are right.
func (t *transit) valid() bool {
	whole := t.buffer()
	defer whole.Release()
	return offload.Valid(&whole)
}

// finished returns the packet, large as it may be, with its checksum put in; the
// caller owns it. It is nil where the checksum does not lie in the packet.
func (t *transit) finished() *gstack.PacketBuffer {
	whole := t.buffer()
	if t.job.Finish(&whole) != nil {
		whole.Release()
		return nil
	}
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: whole, Mark: t.pkt.Mark})
	pkt.PktType = t.pkt.PktType
	return pkt
}
