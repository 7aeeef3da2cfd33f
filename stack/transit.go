package stack

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
)

// A transit is an inbound packet that may be forwarded. It borrows the packet.
type transit struct {
	pkt      *gstack.PacketBuffer
	datagram *defrag.Datagram // nil for a packet that came whole
	fixed    [header.IPv6MinimumSize]byte
	size     int // by the header; trailing padding may follow
	cut          // once measured
}

// read reads the fixed header and reports whether there is a whole one.
func (t *transit) read(pkt *gstack.PacketBuffer, d *defrag.Datagram) bool {
	t.pkt, t.datagram = pkt, d
	n := t.copyOut(t.fixed[:])
	t.size = header.IPv6MinimumSize + int(binary.BigEndian.Uint16(t.fixed[header.IPv6PayloadLenOffset:]))
	return n == len(t.fixed) && t.fixed[0]>>4 == header.IPv6Version
}

// copyOut copies the start of the packet to dst, as much as there is, and
// returns how much. It leaves the views as they are: gVisor's way to look at a
// header copies the chunk it shares.
func (t *transit) copyOut(dst []byte) (n int) {
	views, offset := t.pkt.AsViewList()
	offset += t.pkt.HeaderSize()
	for v := views.Front(); v != nil && n < len(dst); v = v.Next() {
		octets := v.AsSlice()
		if offset >= len(octets) {
			offset -= len(octets)
			continue
		}
		n += copy(dst[n:], octets[offset:])
		offset = 0
	}
	return n
}

// malformed reports whether the packet ends before its header says, or is a
// jumbogram.
func (t *transit) malformed() bool {
	jumbogram := t.size == header.IPv6MinimumSize && t.nextHeader() == uint8(header.IPv6HopByHopOptionsExtHdrIdentifier)
	return jumbogram || t.pkt.Data().Size() < t.size
}

func (t *transit) nextHeader() uint8 { return t.fixed[header.IPv6NextHeaderOffset] }
func (t *transit) hopLimit() uint8   { return t.fixed[hopLimitOffset] }

// hopLimitOffset is that of the Hop Limit in the IPv6 header.
const hopLimitOffset = 7

func (t *transit) source() netip.Addr {
	return netip.AddrFrom16([header.IPv6AddressSize]byte(t.fixed[8:]))
}

func (t *transit) destination() netip.Addr {
	return netip.AddrFrom16([header.IPv6AddressSize]byte(t.fixed[24:]))
}

// largest returns the size of the largest packet that the transit goes on in.
func (t *transit) largest() int {
	if t.fragmented() {
		return t.datagram.LargestPacket
	}
	t.measure()
	return t.sizes.Largest
}

// fragmented reports whether the packet came in fragments and goes on in them.
func (t *transit) fragmented() bool {
	return t.datagram != nil && len(t.datagram.Boundaries) > 1
}

// buffer returns the packet without trailing padding; the caller owns it. No
// payload is copied.
func (t *transit) buffer() buffer.Buffer {
	b := t.pkt.Data().ToBuffer()
	b.Truncate(int64(t.size))
	return b
}

// cause returns what an error quotes: the packet, or its first fragment or
// segment, as it is on the wire. The caller owns it.
func (t *transit) cause() buffer.Buffer {
	whole := t.buffer()
	t.measure()
	if !t.fragmented() && !t.unfinished() {
		return whole
	}
	var first buffer.Buffer
	keep := func(piece buffer.Buffer) {
		if first.Size() == 0 {
			first = piece
			return
		}
		piece.Release()
	}
	var err error
	if copied := whole.Clone(); t.fragmented() {
		err = defrag.Refragment(&copied, t.datagram, keep)
	} else {
		err = t.job.Split(&copied, keep)
	}
	if err != nil {
		return whole
	}
	whole.Release()
	return first
}
