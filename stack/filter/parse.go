package filter

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
)

const ipv6HeaderLength = 40

// ParseBuffer reads the headers of one packet, which is borrowed and may lie in
// any number of views. It reports false for what no rule can be asked about:
// no IPv6 packet, fewer octets than Payload Length says, a header chain that is
// cut off, and a fragment. Such a packet is to be dropped.
func ParseBuffer(b *buffer.Buffer) (Packet, bool) {
	views := b.AsViewList()
	return ParseViews(views.Front(), 0, int(b.Size()))
}

// ParseViews is [ParseBuffer] for the packet of length octets that begins skip
// octets into a list of views, of which first is the first.
func ParseViews(first *buffer.View, skip, length int) (Packet, bool) {
	o := octets{view: first, base: -skip, limit: length}
	if first != nil {
		o.here = first.AsSlice()
	}
	return parse(&o)
}

// Parse is [ParseBuffer] for a packet that lies in one piece, which is
// borrowed.
func Parse(packet []byte) (Packet, bool) {
	return parse(&octets{here: packet, limit: len(packet)})
}

// parse reads the packet at position 0.
func parse(o *octets) (p Packet, ok bool) {
	fixed := o.at(0, ipv6HeaderLength)
	if fixed == nil || fixed[0]>>4 != 6 {
		return p, false
	}
	p.Length = ipv6HeaderLength + int(binary.BigEndian.Uint16(fixed[4:]))
	if p.Length > o.limit {
		return p, false
	}
	o.limit = p.Length // What follows is padding.
	p.Source, p.Destination = [16]byte(fixed[8:]), [16]byte(fixed[24:])
	protocol, at, end := walk(o, fixed[6], ipv6HeaderLength)
	p.Protocol = protocol
	if end != upperLayer {
		return p, false
	}
	return p, p.parseUpperLayer(o, at)
}

// parseUpperLayer reads the upper-layer header at position at; it reports
// false if it is cut off.
func (p *Packet) parseUpperLayer(o *octets, at int) bool {
	switch p.Protocol {
	case TCP:
		h := o.at(at, 20)
		if h == nil {
			return false
		}
		p.SourcePort, p.DestinationPort = ports(h)
		p.TCPFlags = h[13]
	case UDP:
		h := o.at(at, 8)
		if h == nil {
			return false
		}
		p.SourcePort, p.DestinationPort = ports(h)
	case ICMPv6:
		h := o.at(at, 8)
		if h == nil {
			return false
		}
		p.ICMPType, p.ICMPCode = h[0], h[1]
		p.Identifier = identifier(h)
		if p.isError() {
			p.Quote = parseQuote(o, at+8)
		}
	}
	return true
}

// ports returns the ports in the first four octets of a TCP or UDP header.
func ports(h []byte) (source, destination uint16) {
	return binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:])
}

// identifier returns the Identifier of an echo message from its first six
// octets, else 0.
func identifier(h []byte) uint16 {
	if h[0] == echoRequest || h[0] == echoReply {
		return binary.BigEndian.Uint16(h[4:])
	}
	return 0
}

// parseQuote reads the packet that an ICMPv6 error quotes, at position at. Its
// end may be missing.
func parseQuote(o *octets, at int) (q Quote) {
	fixed := o.at(at, ipv6HeaderLength)
	if fixed == nil || fixed[0]>>4 != 6 {
		return q
	}
	q.Source, q.Destination = [16]byte(fixed[8:]), [16]byte(fixed[24:])
	protocol, at, end := walk(o, fixed[6], at+ipv6HeaderLength)
	switch end {
	case laterFragment:
		q.Kind = FragmentQuote
	case upperLayer, firstFragment:
		q.Protocol = protocol
		if q.parseUpperLayer(o, at) {
			q.Kind = WholeQuote
		}
	}
	return q
}

// parseUpperLayer reads as much of the upper-layer header at position at as
// names a flow; it reports false if that is cut off.
func (q *Quote) parseUpperLayer(o *octets, at int) bool {
	switch q.Protocol {
	case TCP, UDP:
		h := o.at(at, 4)
		if h == nil {
			return false
		}
		q.SourcePort, q.DestinationPort = ports(h)
	case ICMPv6:
		h := o.at(at, 6)
		if h == nil {
			return false
		}
		q.ICMPType, q.Identifier = h[0], identifier(h)
	}
	return true
}
