package defrag

import (
	"encoding/binary"
	"errors"

	"gvisor.dev/gvisor/pkg/buffer"
)

// Split splits a packet of ours into fragments of at most size octets, for a
// path that takes no more (RFC 8200 section 4.5). A packet that is a fragment
// already is split again, with the identification that it has; otherwise the
// fragments get the given one.
//
// emit is called with each fragment in order; the buffer is the callee's.
// Payload is not copied. packet is taken over. The error says why it cannot be
// split; then nothing was emitted.
func Split(packet *buffer.Buffer, size int, identification uint32, emit func(fragment buffer.Buffer)) error {
	defer packet.Release()
	unfragmentable, next, ok := unfragmentablePart(packet)
	if !ok {
		return errNotSplit
	}
	if next != protoFragment {
		length := int(packet.Size()) - unfragmentable
		s := newSplitter(packet, unfragmentable)
		defer s.recycle()
		d := Datagram{UnfragmentableLength: unfragmentable, Identification: identification}
		if err := s.readHeaders(packet, &d); err != nil {
			return err
		}
		return s.bySize(size, length, emit)
	}
	behind := unfragmentable + fragmentHeaderLength
	length := int(packet.Size()) - behind
	if length <= 0 {
		return errNotSplit
	}
	s := newSplitter(packet, behind)
	defer s.recycle()
	s.headers = append(s.memory[:0], make([]byte, behind)...)
	packet.ReadAt(s.headers, 0)
	field := binary.BigEndian.Uint16(s.headers[unfragmentable+2:])
	s.base, s.more = int(field&^7), field&1 != 0
	return s.bySize(size, length, emit)
}

var errNotSplit = errors.New("split: no IPv6 packet with payload behind its headers")

// unfragmentablePart returns the length of the headers that every fragment of
// packet must have: the IPv6 header, and those through the last that routers on
// the way look at. next is the type of what follows. ok is false where they are
// cut off or nothing follows.
func unfragmentablePart(packet *buffer.Buffer) (length int, next uint8, ok bool) {
	o := makeOctets(packet)
	fixed := o.at(0, ipv6HeaderLength)
	if fixed == nil {
		return 0, 0, false
	}
	here := fixed[6]
	length, next = ipv6HeaderLength, here
	for at := ipv6HeaderLength; here == protoHopByHop || here == protoRouting || here == protoDestinationOptions; {
		e := o.at(at, 2)
		if e == nil {
			return 0, 0, false
		}
		at += extensionLength(here, e[1])
		if here != protoDestinationOptions {
			length, next = at, e[0]
		}
		here = e[0]
		if here == protoFragment {
			length, next = at, here
		}
	}
	return length, next, length < o.limit
}
