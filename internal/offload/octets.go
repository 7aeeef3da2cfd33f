package offload

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// octets reads a packet without changing it, whatever the sizes of its views.
// It is quick where positions do not decrease from call to call.
type octets struct {
	first *buffer.View
	skip  int // octets of the views before the packet begins
	view  *buffer.View
	base  int // position of view in the packet
	// limit is the position that no read passes.
	limit   int
	scratch [40]byte
}

// octetsOf returns the octets of packet, borrowed.
func octetsOf(packet *buffer.Buffer) octets {
	views := packet.AsViewList()
	return octets{first: views.Front(), view: views.Front(), limit: int(packet.Size())}
}

// octetsOfPacket returns the octets of pkt, headers included, borrowed.
func octetsOfPacket(pkt *gstack.PacketBuffer) octets {
	views, skip := pkt.AsViewList()
	return octets{first: views.Front(), skip: skip, view: views.Front(), base: -skip, limit: pkt.Size()}
}

// seek makes view the one that holds position at, which is below limit.
func (o *octets) seek(at int) {
	if at < o.base {
		o.view, o.base = o.first, -o.skip
	}
	for at >= o.base+o.view.Size() {
		o.base += o.view.Size()
		o.view = o.view.Next()
	}
}

// at returns n octets at position at, or nil where the limit comes first. n is
// from 1 to 40, and the result holds until the next call.
func (o *octets) at(at, n int) []byte {
	if at+n > o.limit {
		return nil
	}
	o.seek(at)
	if here := o.view.AsSlice()[at-o.base:]; len(here) >= n {
		return here[:n]
	}
	o.copy(o.scratch[:n], at)
	return o.scratch[:n]
}

// copy fills dst, which is not empty, with the octets at position at. They must
// be there.
func (o *octets) copy(dst []byte, at int) {
	o.seek(at)
	n := copy(dst, o.view.AsSlice()[at-o.base:])
	for v := o.view.Next(); n < len(dst); v = v.Next() {
		n += copy(dst[n:], v.AsSlice())
	}
}

// sum returns the folded sum of the octets from position from up to to, at least
// one. They must be there.
func (o *octets) sum(from, to int) uint16 {
	o.seek(from)
	var s checksum.Checksumer
	skip, left := from-o.base, to-from
	for v := o.view; left > 0; v = v.Next() {
		here := v.AsSlice()[skip:]
		here = here[:min(len(here), left)]
		s.Add(here)
		left -= len(here)
		skip = 0
	}
	return s.Checksum()
}
