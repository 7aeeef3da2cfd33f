package defrag

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
)

const (
	ipv6HeaderLength     = 40
	fragmentHeaderLength = 8
	// maxPayload is the largest Payload Length, and so the largest end of a
	// fragment.
	maxPayload = 65535
)

// ICMPv6 errors that this package asks for (RFC 4443 sections 3.3 and 3.4).
const (
	timeExceeded     = 3
	parameterProblem = 4

	reassemblyTimeExceeded = 1 // code of timeExceeded

	erroneousField      = 0 // codes of parameterProblem
	unrecognizedNext    = 1
	incompleteFirstFrag = 3
)

// unpaddedSize returns the length of an IPv6 packet without trailing padding.
func unpaddedSize(b *buffer.Buffer) int64 {
	var length [2]byte
	b.ReadAt(length[:], 4)
	if payload := int64(binary.BigEndian.Uint16(length[:])); payload != 0 {
		return ipv6HeaderLength + payload
	}
	return b.Size() // A jumbogram.
}

// A packet is what the headers of one fragment say. It is a plain value.
type packet struct {
	source, destination [16]byte
	identification      uint32
	ecn                 uint8 // the two bits
	// unfragmentable is the length of the headers before the Fragment header,
	// and so its position.
	unfragmentable int
	// announced is the position of the next-header octet that announces it.
	announced int
	// headers is where the upper-layer header of a first fragment ends.
	headers        int
	fragmentHeader [fragmentHeaderLength]byte
	// offset and length of the payload in octets.
	offset, length int
	more           bool
}

// payloadAt returns the position of the payload in the packet.
func (p *packet) payloadAt() int { return p.unfragmentable + fragmentHeaderLength }

// end returns where in the datagram the payload ends.
func (p *packet) end() int { return p.offset + p.length }

// size returns the length of the packet in octets, without padding.
func (p *packet) size() int { return p.payloadAt() + p.length }

// atomic reports whether the fragment is a datagram by itself.
func (p *packet) atomic() bool { return p.offset == 0 && !p.more }

// mayBeFragmented reports, from the fixed header alone, whether a packet can
// hold a Fragment header at all.
func mayBeFragmented(b *buffer.Buffer) bool {
	views := b.AsViewList()
	v := views.Front()
	if v == nil {
		return false
	}
	if first := v.AsSlice(); len(first) > 6 {
		return first[6] == protoFragment || stepsOver(first[6], RFC8200)
	}
	return true
}

// inspect reads the headers of one packet. The verdict is Passed for a packet
// that is none of ours, Held for a fragment to be gathered, else that of a
// drop, with the ICMPv6 error owed.
func inspect(b *buffer.Buffer, policy Policy) (p packet, verdict Verdict, e ICMPError) {
	o := makeOctets(b)
	size := o.limit
	fixed := o.at(0, ipv6HeaderLength)
	if fixed == nil || fixed[0]>>4 != 6 {
		return p, Passed, e
	}
	payload := int(binary.BigEndian.Uint16(fixed[4:]))
	if payload == 0 && policy == Linux {
		return p, Passed, e
	}
	covered := ipv6HeaderLength + payload
	if payload != 0 {
		o.limit = min(size, covered)
	}
	p.source, p.destination = [16]byte(fixed[8:]), [16]byte(fixed[24:])
	p.ecn = fixed[1] >> 4 & 3
	next := fixed[6]
	p.announced = 6
	at := ipv6HeaderLength
	for next != protoFragment {
		extension := o.at(at, 2)
		if !stepsOver(next, policy) || extension == nil {
			return p, Passed, e
		}
		here := next
		next = extension[0]
		p.announced = at
		if at += extensionLength(here, extension[1]); at > o.limit {
			return p, Passed, e
		}
	}
	p.unfragmentable = at

	if payload == 0 { // RFC 2675 section 3.
		return p, Jumbogram, ICMPError{parameterProblem, erroneousField, uint32(at)}
	}
	if policy == Linux {
		return inspectLinux(&o, p, size < covered)
	}
	header := o.at(at, fragmentHeaderLength)
	if header == nil {
		return p, TruncatedHeader, e
	}
	if size < covered {
		return p, TruncatedPacket, e
	}
	p.readFragmentHeader(header, o.limit)
	if p.offset == 0 {
		if verdict, e = p.inspectFirst(&o); verdict != Held {
			return p, verdict, e
		}
	}
	verdict, e = p.inspectLength()
	return p, verdict, e
}

// readFragmentHeader takes the fields of the Fragment header. The packet ends
// at limit.
func (p *packet) readFragmentHeader(header []byte, limit int) {
	copy(p.fragmentHeader[:], header)
	field := binary.BigEndian.Uint16(header[2:])
	p.offset = int(field &^ 7)
	p.more = field&1 != 0
	p.identification = binary.BigEndian.Uint32(header[4:])
	p.length = limit - p.payloadAt()
}

// inspectFirst judges the headers of a first fragment.
func (p *packet) inspectFirst(o *octets) (verdict Verdict, e ICMPError) {
	if p.fragmentHeader[0] == protoHopByHop {
		// RFC 8200 section 4.1 allows it right after the IPv6 header only.
		return HopByHopFragmented, ICMPError{parameterProblem, unrecognizedNext, uint32(p.unfragmentable)}
	}
	p.headers, verdict = fragmentableChain(o, p.fragmentHeader[0], p.payloadAt())
	if verdict == IncompleteChain {
		e = ICMPError{parameterProblem, incompleteFirstFrag, 0}
	}
	return verdict, e
}

// inspectLength judges where the fragment begins and ends (RFC 8200 section
// 4.5).
func (p *packet) inspectLength() (verdict Verdict, e ICMPError) {
	switch {
	case p.atomic():
		return Held, e
	case p.more && p.length%8 != 0:
		return Unaligned, ICMPError{parameterProblem, erroneousField, 4}
	case p.end() > maxPayload:
		return PastMaximum, ICMPError{parameterProblem, erroneousField, uint32(p.unfragmentable + 2)}
	case p.length == 0:
		return EmptyFragment, e
	}
	return Held, e
}

// inspectLinux judges a fragment as nf_defrag_ipv6 does before it looks for
// the queue.
func inspectLinux(o *octets, p packet, truncated bool) (packet, Verdict, ICMPError) {
	var none ICMPError
	if truncated {
		return p, TruncatedPacket, none
	}
	at := p.unfragmentable
	var start [4]byte
	header := o.at(at, fragmentHeaderLength)
	if header != nil {
		p.readFragmentHeader(header, o.limit)
		copy(start[:], header)
	} else if cut := o.at(at, len(start)); cut != nil {
		copy(start[:], cut)
	} else {
		return p, TruncatedHeader, none
	}
	if start[2] == 0 && start[3]&^7 == 0 {
		var stub bool
		if p.headers, stub = linuxStub(o, start[0], p.payloadAt()); stub {
			return p, Passed, none
		}
	}
	if header == nil {
		return p, TruncatedHeader, none
	}
	if p.end() > maxPayload {
		return p, PastMaximum, none
	}
	return p, Held, none
}
