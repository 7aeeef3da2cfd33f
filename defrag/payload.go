package defrag

import "gvisor.dev/gvisor/pkg/buffer"

// keep puts the payload of p where it costs least, and takes b over.
func (a *assembly) keep(p *packet, b *buffer.Buffer, tag uint64) {
	f := fragment{
		tag:    tag,
		skip:   int32(p.payloadAt()),
		start:  uint16(p.offset / unit),
		length: uint16(p.length),
	}
	size := truesize(b)
	switch fill := p.length; {
	case p.offset == 0:
		// The first fragment stays whole: its headers are those of the
		// datagram, and an ICMPv6 error quotes it.
		if fill = p.size(); 4*fill < size {
			compact(b, 0, fill)
			size = truesize(b)
		}
	case 4*fill >= size:
	case a.flat != nil && p.end() <= a.flat.Size():
		writeFlat(a.flat, b, p.payloadAt(), p.offset)
		b.Release()
		a.tag(tag)
		return
	default:
		compact(b, p.payloadAt(), fill)
		size = truesize(b)
		f.skip = 0
		a.looseSize += int32(size + fragmentSize)
		a.looseEnd = max(a.looseEnd, int32(p.end()))
	}
	f.packet, *b = *b, buffer.Buffer{}
	a.views += int32(size)
	a.list.append(f)
	if f.loose() {
		a.flatten()
	}
}

// tag remembers the tag of a fragment whose packet was let go.
func (a *assembly) tag(tag uint64) {
	if tag == 0 {
		return
	}
	if a.tags == nil {
		a.tags = new([]uint64)
	}
	*a.tags = append(*a.tags, tag)
}

// flatten moves the loose fragments into the flat view, which grows for them,
// once that costs no more memory than they do. Each move at least doubles the
// flat view, so that the copying is linear in the payload.
func (a *assembly) flatten() {
	size := chunkSize(int(a.looseEnd))
	old := 0
	if a.flat != nil {
		old = a.flat.Size() + viewOverhead
	}
	if int(a.looseSize)+old < size+viewOverhead {
		return
	}
	flat := buffer.NewViewSize(size)
	if a.flat != nil {
		flat.WriteAt(a.flat.AsSlice(), 0)
		a.flat.Release()
	}
	a.flat = flat
	a.views += int32(size + viewOverhead - old)
	a.list.removeLoose(func(f *fragment) {
		a.views -= int32(truesize(&f.packet))
		writeFlat(flat, &f.packet, 0, int(f.start)*unit)
		f.packet.Release()
		a.tag(f.tag)
	})
	a.looseSize, a.looseEnd = 0, 0
}

// writeFlat copies b from position from on to position at of flat.
func writeFlat(flat *buffer.View, b *buffer.Buffer, from, at int) {
	views := b.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		if from >= v.Size() {
			from -= v.Size()
			continue
		}
		n, _ := flat.WriteAt(v.AsSlice()[from:], at)
		at += n
		from = 0
	}
}

// compact replaces b by a copy of length of its octets, from position from on,
// in one view of that size.
func compact(b *buffer.Buffer, from, length int) {
	v := buffer.NewView(length)
	copyOut(v, b, from, length)
	b.Release()
	*b = buffer.MakeWithView(v)
}
