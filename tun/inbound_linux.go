package tun

import (
	"math"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
)

// receive takes the packet of n octets, header included, out of the frame, and
// hands it to deliver.
//
//	left undone                 delivered
//	nothing                     as it is
//	segmentation of TCP         whole, with GSOOptions
//	segmentation of UDP         datagrams
//	the checksum of TCP         with GSOOptions
//	the checksum of another     finished
func (q *nativeQueue) receive(n int, deliver func(*gstack.PacketBuffer)) error {
	if !q.virtio {
		deliver(newPacket(q.frame.take(n)))
		return nil
	}
	if n <= virtioSize {
		return errMalformed
	}
	packet, h := q.frame.take(n-virtioSize), &q.frame.header
	switch h.gsoType() {
	case unix.VIRTIO_NET_HDR_GSO_NONE:
		return deliverOne(h, packet, deliver)
	case unix.VIRTIO_NET_HDR_GSO_TCPV4:
		return deliverLarge(h, packet, gstack.GSOTCPv4, deliver)
	case unix.VIRTIO_NET_HDR_GSO_TCPV6:
		return deliverLarge(h, packet, gstack.GSOTCPv6, deliver)
	case unix.VIRTIO_NET_HDR_GSO_UDP_L4:
		return deliverDatagrams(h, packet, deliver)
	}
	packet.Release()
	return errMalformed
}

// newPacket returns a packet of octets, which it takes over.
func newPacket(octets buffer.Buffer) *gstack.PacketBuffer {
	return gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: octets})
}

// deliverOne delivers a packet that is to stay one.
func deliverOne(h *virtioHeader, packet buffer.Buffer, deliver func(*gstack.PacketBuffer)) error {
	var left gstack.GSO
	switch {
	case !h.needsChecksum():
	case h.isTCP() && contains(&packet, h):
		left = leftOf(h, typeOf(&packet), math.MaxUint16)
	default:
		job := offload.Job{Checksum: true, Start: int(h.start()), Offset: int(h.offset())}
		if err := job.Finish(&packet); err != nil {
			packet.Release()
			return errMalformed
		}
	}
	pkt := newPacket(packet)
	pkt.GSOOptions = left
	pkt.RXChecksumValidated = h.needsChecksum() || h.isValid()
	deliver(pkt)
	return nil
}

// deliverLarge delivers a large segment.
func deliverLarge(h *virtioHeader, packet buffer.Buffer, kind gstack.GSOType, deliver func(*gstack.PacketBuffer)) error {
	if !h.needsChecksum() || !h.isTCP() || h.size() == 0 || typeOf(&packet) != kind || !contains(&packet, h) {
		packet.Release()
		return errMalformed
	}
	pkt := newPacket(packet)
	pkt.GSOOptions = leftOf(h, kind, h.size())
	deliver(pkt)
	return nil
}

// deliverDatagrams delivers the datagrams of a large one. gVisor would take it
// for a single one.
func deliverDatagrams(h *virtioHeader, packet buffer.Buffer, deliver func(*gstack.PacketBuffer)) error {
	job := offload.Job{
		Kind:     offload.UDP,
		MSS:      int(h.size()),
		Checksum: true,
		Start:    int(h.start()),
		Offset:   int(h.offset()),
	}
	if !h.needsChecksum() || h.offset() != udpChecksumOffset {
		packet.Release()
		return errMalformed
	}
	err := job.Split(&packet, func(datagram buffer.Buffer) {
		pkt := newPacket(unpinned(datagram))
		pkt.RXChecksumValidated = true
		deliver(pkt)
	})
	if err != nil {
		return errMalformed
	}
	return nil
}

// leftOf returns what h says in gVisor's terms.
func leftOf(h *virtioHeader, kind gstack.GSOType, size uint16) gstack.GSO {
	return gstack.GSO{Type: kind, NeedsCsum: true, CsumOffset: header.TCPChecksumOffset, MSS: size, L3HdrLen: h.start()}
}

// typeOf returns the type of segmentation of a TCP packet.
func typeOf(packet *buffer.Buffer) gstack.GSOType {
	views := packet.AsViewList()
	if first := views.Front(); first != nil && first.AsSlice()[0]>>4 == header.IPv4Version {
		return gstack.GSOTCPv4
	}
	return gstack.GSOTCPv6
}

// contains reports whether a whole TCP header can stand where h says that it
// begins.
func contains(packet *buffer.Buffer, h *virtioHeader) bool {
	return int(h.start())+header.TCPMinimumSize <= int(packet.Size())
}
