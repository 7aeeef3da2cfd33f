package defrag

import (
	"encoding/binary"
	"fmt"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
)

// Refragment splits a datagram that Gather delivered into the fragments it came
// in: at the same boundaries, with the same identification and the same Fragment
// header bits, so that the path looks the same with a reassembling router in
// it. Where the payload's length has changed since, by NAT say, every fragment
// but the last is as large as the largest was. A datagram that came as one
// atomic fragment goes out without a Fragment header: we make none of those
// (RFC 6946, RFC 8021).
//
// emit is called with each fragment in order; the buffer is the callee's.
// Payload is not copied: its views are cloned. The headers of each
// fragment are a view of their own. packet is taken over. The error says what of
// d does not fit packet; then nothing was emitted.
func Refragment(packet *buffer.Buffer, d *Datagram, emit func(fragment buffer.Buffer)) error {
	defer packet.Release()
	length := int(packet.Size()) - d.UnfragmentableLength
	if d.UnfragmentableLength < ipv6HeaderLength || length <= 0 || len(d.Boundaries) == 0 {
		return fmt.Errorf("refragment: %d octets of headers, %d of payload, %d boundaries: want at least 40, 1 and 1",
			d.UnfragmentableLength, length, len(d.Boundaries))
	}
	if len(d.Boundaries) == 1 {
		emit(packet.Clone())
		return nil
	}
	s := newSplitter(packet, d.UnfragmentableLength)
	defer s.recycle()
	if err := s.readHeaders(packet, d); err != nil {
		return err
	}
	if length == d.Length {
		s.atBoundaries(d.Boundaries, length, emit)
		return nil
	}
	return s.bySize(d.LargestPacket, length, emit)
}

// A splitter makes the fragments of one datagram, or of one fragment.
type splitter struct {
	// headers are those of each fragment, the Fragment header the last.
	headers []byte
	memory  [128]byte // of headers, where they fit
	// base is where the payload stands in the datagram, in octets; more says
	// that it does not end it.
	base    int
	more    bool
	payload viewSource
}

// splitters are used again, so that splitting costs no allocation.
var splitters = sync.Pool{New: func() any { return new(splitter) }}

// newSplitter returns a splitter of the payload that begins at position from of
// packet, which is borrowed.
func newSplitter(packet *buffer.Buffer, from int) *splitter {
	s := splitters.Get().(*splitter)
	s.payload = makeSource(packet, from)
	return s
}

// recycle ends the splitter's use.
func (s *splitter) recycle() {
	*s = splitter{}
	splitters.Put(s)
}

// readHeaders copies the headers before the payload out of packet, and puts the
// Fragment header behind them.
func (s *splitter) readHeaders(packet *buffer.Buffer, d *Datagram) error {
	s.headers = append(s.memory[:0], make([]byte, d.UnfragmentableLength+fragmentHeaderLength)...)
	packet.ReadAt(s.headers[:d.UnfragmentableLength], 0)
	announced, ok := lastHeader(s.headers[:d.UnfragmentableLength])
	if !ok {
		return fmt.Errorf("refragment: the header chain does not end at octet %d", d.UnfragmentableLength)
	}
	header := s.headers[d.UnfragmentableLength:]
	copy(header, d.FragmentHeader[:])
	header[0] = s.headers[announced]
	binary.BigEndian.PutUint32(header[4:], d.Identification)
	s.headers[announced] = protoFragment
	return nil
}

// lastHeader returns the position of the next-header octet of the last header
// in headers, which begin with an IPv6 header; ok is false where they do not
// end with a header.
func lastHeader(headers []byte) (announced int, ok bool) {
	announced = 6
	for at := ipv6HeaderLength; at != len(headers); {
		next := headers[announced]
		if !stepsOver(next, RFC8200) || at+2 > len(headers) {
			return 0, false
		}
		announced = at
		if at += extensionLength(next, headers[at+1]); at > len(headers) {
			return 0, false
		}
	}
	return announced, true
}

// atBoundaries splits at these boundaries.
func (s *splitter) atBoundaries(boundaries []uint16, length int, emit func(buffer.Buffer)) {
	for i, start := range boundaries {
		end := length
		if i+1 < len(boundaries) {
			end = int(boundaries[i+1]) * unit
		}
		emit(s.fragment(int(start)*unit, end, end < length))
	}
}

// bySize splits into packets of at most size octets. The error says that not
// even the headers fit.
func (s *splitter) bySize(size, length int, emit func(buffer.Buffer)) error {
	step := (size - len(s.headers)) &^ 7
	if step <= 0 {
		return fmt.Errorf("refragment: a packet of %d octets does not hold %d octets of headers and 8 of payload",
			size, len(s.headers))
	}
	for start := 0; start < length; start += step {
		end := min(start+step, length)
		emit(s.fragment(start, end, end < length))
	}
	return nil
}

// fragment returns the fragment with the payload from start to end, which must
// begin where the last one ended.
func (s *splitter) fragment(start, end int, more bool) buffer.Buffer {
	payload := uint16(len(s.headers) - ipv6HeaderLength + end - start)
	binary.BigEndian.PutUint16(s.headers[4:], payload)
	field := s.headers[len(s.headers)-6 : len(s.headers)-4]
	bits := uint16(s.base+start) | uint16(field[1])&6 // reserved bits
	if more || s.more {
		bits |= 1
	}
	binary.BigEndian.PutUint16(field, bits)
	out := buffer.MakeWithView(buffer.NewViewWithData(s.headers))
	s.payload.take(&out, end-start)
	return out
}

// A viewSource hands out a buffer's views piece by piece, front to back. It
// borrows the buffer.
type viewSource struct {
	view *buffer.View
	used int // octets of view handed out
}

// makeSource returns the views of b from position from on.
func makeSource(b *buffer.Buffer, from int) viewSource {
	views := b.AsViewList()
	s := viewSource{view: views.Front()}
	for s.view != nil && from >= s.view.Size() {
		from -= s.view.Size()
		s.view = s.view.Next()
	}
	s.used = from
	return s
}

// take appends the next n octets, as clones of the views that hold them, to
// dst.
func (s *viewSource) take(dst *buffer.Buffer, n int) {
	for n > 0 {
		v := s.view.Clone()
		v.TrimFront(s.used)
		v.CapLength(n)
		n -= v.Size()
		s.used += v.Size()
		part := buffer.MakeWithView(v)
		dst.Merge(&part)
		if s.used == s.view.Size() {
			s.view, s.used = s.view.Next(), 0
		}
	}
}
