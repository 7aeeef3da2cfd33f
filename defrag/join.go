package defrag

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
)

// A delivered datagram leaves the engine's budget and may sit in a socket
// queue that counts its length only. It therefore pins at most pinFactor times
// its length, plus pinConstant.
const (
	pinFactor   = 4
	pinConstant = 4096
)

// join returns the datagram of a complete assembly, the caller's, and leaves
// the assembly to be reset.
//
//	headers | rest of the first fragment | chained or flat payload …
//
// The headers through the upper-layer header stand in a small view of their
// own: gVisor writes to them, and would clone the whole chunk otherwise.
func (a *assembly) join() buffer.Buffer {
	a.list.sort()
	fragments := a.list.all()
	first := &fragments[0]
	ecn, _ := a.marks.merge(a.firstECN)
	out := buffer.MakeWithView(headerView(&first.packet, headerFields{
		unfragmentable: int(a.unfragmentable),
		announced:      int(a.announced),
		headers:        int(a.headers),
		payload:        int(a.end),
		ecn:            ecn,
	}))
	first.skip = a.headers
	at := 0
	for i := range fragments {
		f := &fragments[i]
		a.joinFlat(&out, at, int(f.start)*unit)
		f.packet.TrimFront(int64(f.skip))
		out.Merge(&f.packet)
		at = int(f.start)*unit + int(f.length)
	}
	a.joinFlat(&out, at, int(a.end))
	if int(a.views) > pinFactor*int(out.Size())+pinConstant {
		repack(&out, int(a.headers)-fragmentHeaderLength)
	}
	return out
}

// joinFlat appends the part of the flat view between two positions to out.
func (a *assembly) joinFlat(out *buffer.Buffer, from, to int) {
	if from == to {
		return
	}
	v := a.flat.Clone()
	a.views += viewOverhead
	v.TrimFront(from)
	v.CapLength(to - from)
	part := buffer.MakeWithView(v)
	out.Merge(&part)
}

// repack copies all of b behind its headers into one view.
func repack(b *buffer.Buffer, headers int) {
	size := int(b.Size())
	v := buffer.NewView(headers)
	copyOut(v, b, 0, headers)
	packed := buffer.MakeWithView(v)
	rest := buffer.NewView(size - headers)
	copyOut(rest, b, headers, size-headers)
	tail := buffer.MakeWithView(rest)
	packed.Merge(&tail)
	b.Release()
	*b = packed
}

// headerFields says how the headers of a datagram differ from those of its
// first fragment.
type headerFields struct {
	unfragmentable, announced, headers int // as in packet
	payload                            int // of the datagram, in octets
	ecn                                uint8
}

// headerView returns the headers of b, through the upper-layer header, without
// the Fragment header (RFC 8200 section 4.5). The view is the caller's.
func headerView(b *buffer.Buffer, f headerFields) *buffer.View {
	var fixed [2]byte
	b.ReadAt(fixed[:], 0)
	var next [1]byte
	b.ReadAt(next[:], int64(f.unfragmentable))
	fixed[1] = fixed[1]&^0x30 | f.ecn<<4
	var length [2]byte
	binary.BigEndian.PutUint16(length[:], uint16(f.unfragmentable-ipv6HeaderLength+f.payload))

	behind := f.unfragmentable + fragmentHeaderLength
	v := buffer.NewView(f.headers - fragmentHeaderLength)
	copyOut(v, b, 0, f.unfragmentable)
	copyOut(v, b, behind, f.headers-behind)
	v.WriteAt(fixed[1:], 1)
	v.WriteAt(length[:], 4)
	v.WriteAt(next[:], f.announced)
	return v
}

// cut takes the Fragment header out of an atomic fragment (RFC 6946 section
// 4).
func cut(b *buffer.Buffer, p *packet) {
	out := buffer.MakeWithView(headerView(b, headerFields{
		unfragmentable: p.unfragmentable,
		announced:      p.announced,
		headers:        p.headers,
		payload:        p.length,
		ecn:            p.ecn,
	}))
	b.TrimFront(int64(p.headers))
	out.Merge(b)
	*b = out
}
