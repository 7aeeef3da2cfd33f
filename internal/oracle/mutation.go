package oracle

// A mutation spoils the fragments of a datagram.
type mutation = func(g generator, d *draft, list []Packet) []Packet

var mutations = []mutation{
	repeat, repeatOtherwise, contained, across, overlap, secondEnd, pastEnd, empty, unaligned, tooFar, atomic, atomic,
	stub, otherHeaders, otherTail, reserved, marked, missing, aside, headless,
}

// repeat sends a fragment again.
func repeat(g generator, _ *draft, list []Packet) []Packet {
	return insert(g, list, pick(g, list...))
}

// repeatOtherwise sends a fragment again with other octets or the other M
// flag.
func repeatOtherwise(g generator, _ *draft, list []Packet) []Packet {
	p := pick(g, list...)
	if g.chance(2) {
		p.Payload = g.octets(len(p.Payload))
	}
	if g.chance(2) {
		p.More = !p.More
	}
	return insert(g, list, p)
}

// contained sends a part of a fragment.
func contained(g generator, _ *draft, list []Packet) []Packet {
	p := pick(g, list...)
	units := len(p.Payload) / 8
	if units < 2 {
		return list
	}
	skip := g.IntN(units)
	p.Offset += skip
	p.Payload = p.Payload[8*skip:]
	if keep := 8 * (1 + g.IntN(units-skip)); keep < len(p.Payload) {
		p.Payload, p.More = p.Payload[:keep], true
	}
	return insert(g, list, p)
}

// across sends octets of two neighbours or more.
func across(g generator, d *draft, list []Packet) []Packet {
	start := 8 * g.IntN(len(d.data)/8+1)
	end := min(start+8*(2+g.IntN(4)), len(d.data))
	return insert(g, list, d.piece(min(start, end)&^7, end))
}

// overlap moves a fragment by some units.
func overlap(g generator, _ *draft, list []Packet) []Packet {
	p := pick(g, list...)
	p.Offset = max(0, p.Offset+g.IntN(5)-2)
	p.More = p.More || g.chance(2)
	if p.More {
		p.Payload = p.Payload[:len(p.Payload)&^7]
	}
	return insert(g, list, p)
}

// secondEnd says that the datagram ends elsewhere.
func secondEnd(g generator, d *draft, list []Packet) []Packet {
	start := 8 * g.IntN(len(d.data)/8+3)
	p := d.base
	p.Offset = start / 8
	p.Payload = g.octets(1 + g.IntN(24))
	return insert(g, list, p)
}

// pastEnd sends data past the end.
func pastEnd(g generator, d *draft, list []Packet) []Packet {
	p := d.base
	p.Offset = (len(d.data)+7)/8 + g.IntN(3)
	p.More = true
	p.Payload = g.octets(8 * (1 + g.IntN(2)))
	return insert(g, list, p)
}

// empty sends a fragment without data.
func empty(g generator, d *draft, list []Packet) []Packet {
	p := d.base
	p.Offset = g.IntN(len(d.data)/8 + 4)
	p.More = g.chance(2)
	if g.chance(3) {
		p.NextHeader = protocolNone
	}
	return insert(g, list, p)
}

// unaligned sends a fragment whose length is no multiple of 8 though more
// follow.
func unaligned(g generator, d *draft, list []Packet) []Packet {
	p := d.base
	p.Offset = g.IntN(len(d.data)/8 + 1)
	p.More = true
	p.Payload = g.octets(8*g.IntN(3) + 1 + g.IntN(7))
	return insert(g, list, p)
}

// tooFar sends a fragment that ends past octet 65,535.
func tooFar(g generator, d *draft, list []Packet) []Packet {
	p := d.base
	p.Offset = 8191 - g.IntN(3)
	p.More = g.chance(2)
	p.Payload = g.octets(8 * g.IntN(6))
	if !p.More {
		p.Payload = g.octets(g.IntN(48))
	}
	return insert(g, list, p)
}

// atomic sends an atomic fragment of the same key, now and then the first
// one's equal.
func atomic(g generator, d *draft, list []Packet) []Packet {
	p := d.piece(0, min(len(d.data), 8*(1+g.IntN(12))))
	if g.chance(3) {
		p.Payload = g.octets(g.IntN(80))
	}
	p.More = false
	return insert(g, list, p)
}

// stub sends a first fragment that does not hold the upper-layer header.
func stub(g generator, d *draft, list []Packet) []Packet {
	p := d.base
	p.NextHeader = pick(g, uint8(protocolTCP), protocolUDP, protocolICMPv6, protocolDestination, protocolNone, protocolAH)
	p.Payload = g.octets(g.IntN(24))
	if len(p.Payload) > 1 {
		p.Payload[0], p.Payload[1] = g.upper(), uint8(g.IntN(3))
	}
	p.More = g.chance(2)
	return insert(g, list, p)
}

// otherHeaders gives a fragment other IPv6 fields and other headers before
// the Fragment header.
func otherHeaders(g generator, _ *draft, list []Packet) []Packet {
	i := g.IntN(len(list))
	other := g.base()
	list[i].HopLimit, list[i].FlowLabel = other.HopLimit, other.FlowLabel
	list[i].TrafficClass = other.TrafficClass&^3 | list[i].TrafficClass&3
	list[i].Extensions = other.Extensions
	return list
}

// otherTail gives a fragment another next-header value.
func otherTail(g generator, _ *draft, list []Packet) []Packet {
	list[g.IntN(len(list))].NextHeader = g.upper()
	return list
}

// reserved sets bits that have no meaning.
func reserved(g generator, _ *draft, list []Packet) []Packet {
	list[g.IntN(len(list))].Reserved = uint16(g.Uint32())
	return list
}

// marked changes a fragment's ECN code point.
func marked(g generator, _ *draft, list []Packet) []Packet {
	list[g.IntN(len(list))].TrafficClass ^= uint8(g.IntN(4))
	return list
}

// missing leaves a fragment out.
func missing(g generator, _ *draft, list []Packet) []Packet {
	if len(list) < 2 {
		return list
	}
	i := g.IntN(len(list))
	return append(append([]Packet(nil), list[:i]...), list[i+1:]...)
}

// aside sends a packet that is no fragment.
func aside(g generator, d *draft, list []Packet) []Packet {
	p := d.base
	p.whole()
	p.Payload = g.octets(g.IntN(40))
	return insert(g, list, p)
}

// headless sends a packet that ends within its Fragment header.
func headless(g generator, d *draft, list []Packet) []Packet {
	p := d.base
	p.Fragmented = false
	p.NextHeader = protocolFragment
	p.Payload = []byte{g.upper(), 0, 0, 0, 1, 2, 3}[:g.IntN(8)]
	if len(p.Payload) > 3 && g.chance(2) {
		p.Payload[3] = 8
	}
	return insert(g, list, p)
}
