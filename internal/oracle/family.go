package oracle

import "encoding/binary"

// plan fragments one or two datagrams, spoils that here and there, and now
// and then sends all again.
func (g generator) plan() [][]byte {
	d := g.draft(16 + g.IntN(pick(g, 40, 120, 800)))
	list := order(g, d.cut(g, pick(g, 1, 2, 4, 200)))
	for range g.IntN(4) {
		list = pick(g, mutations...)(g, d, list)
	}
	if g.chance(4) {
		s := d.sibling(g)
		list = interleave(g, list, order(g, s.cut(g, 3)))
	}
	if g.chance(5) {
		list = append(list, d.cut(g, 2)...)
	}
	return g.soil(build(list))
}

// storm draws fragments at random from so small a space that they meet.
func (g generator) storm() [][]byte {
	d := g.draft(96)
	units := 2 + g.IntN(7)
	var packets [][]byte
	for range 3 + g.IntN(18) {
		start := 8 * g.IntN(units)
		length := 8 * (1 + g.IntN(3))
		more := !g.chance(4)
		if !more && g.chance(2) {
			length -= g.IntN(8)
		}
		if g.chance(20) {
			length = 0
		}
		if g.chance(40) {
			length += 1 + g.IntN(7)
		}
		p := d.piece(start, min(start+length, len(d.data)))
		p.More = more
		if g.chance(3) {
			p.Payload = g.octets(len(p.Payload))
		}
		if g.chance(12) {
			p.NextHeader = g.upper()
		}
		packets = append(packets, p.Bytes())
	}
	return packets
}

// headers draws packets of all header chains, whole and cut off.
func (g generator) headers() [][]byte {
	var packets [][]byte
	for range 1 + g.IntN(5) {
		p := g.base()
		p.Extensions = g.extensions(6)
		p.Payload = append(g.fragmentable(p.NextHeader), g.octets(g.IntN(24))...)
		switch g.IntN(4) {
		case 0:
			p.whole()
		case 1:
			p.More = true
			p.Payload = p.Payload[:len(p.Payload)&^7]
		}
		packet := p.Bytes()
		if g.chance(2) {
			packet = packet[:headerLength+g.IntN(len(packet)-headerLength+1)]
			setPayloadLength(packet, len(packet)-headerLength)
		}
		packets = append(packets, packet)
	}
	return packets
}

// marks draws fragments whose ECN code points are of a random set.
func (g generator) marks() [][]byte {
	d := g.draft(48 + g.IntN(64))
	d.base.TrafficClass &^= 3
	list := d.cut(g, 2)
	set := g.octets(1 + g.IntN(4))
	for i := range list {
		list[i].TrafficClass |= pick(g, set...) & 3
	}
	list = order(g, list)
	if g.chance(2) {
		again := pick(g, list...)
		again.TrafficClass ^= uint8(1 + g.IntN(3))
		list = insert(g, list, again)
	}
	return build(list)
}

// damage draws a plan and changes octets of it at random.
func (g generator) damage() [][]byte {
	packets := g.plan()
	for range 1 + g.IntN(4) {
		i := g.IntN(len(packets))
		before := packets[i]
		if len(before) < 2 {
			continue
		}
		p := append([]byte(nil), before...)
		at := 1 + g.IntN(min(len(p), 90)-1)
		p[at] ^= 1 << g.IntN(8)
		if hopByHopDiffers(before, p) {
			continue
		}
		packets[i] = p
	}
	return packets
}

// hopByHopDiffers reports whether only one of the packets has a Hop-by-Hop
// Options header or theirs differ.
func hopByHopDiffers(a, b []byte) bool {
	if len(a) < headerLength+2 || a[6] != 0 && b[6] != 0 {
		return false
	}
	if a[6] != b[6] {
		return true
	}
	end := min(len(a), headerLength+extensionLength(a, headerLength, protocolHopByHop))
	return string(a[headerLength:end]) != string(b[headerLength:end])
}

// pieces draws a datagram in pieces of 8 octets.
func (g generator) pieces() [][]byte {
	d := g.draft(8*(40+g.IntN(260)) + g.IntN(8))
	list := order(g, d.cut(g, 1))
	for range g.IntN(3) {
		list = insert(g, list, pick(g, list...))
	}
	return build(list)
}

// limit draws a datagram whose length is about the most there can be.
func (g generator) limit() [][]byte {
	d := g.draft(65535 - 24 - g.IntN(3) + g.IntN(27))
	d.base.Source, d.base.Destination = g.unicast(), g.unicast()
	d.base.Extensions = pick(g, nil, []Extension{{protocolDestination, g.octets(8 * (1 + g.IntN(3)))}})
	list := order(g, d.cut(g, pick(g, 7000, 2000, 400)))
	if g.chance(2) {
		list = insert(g, list, d.piece(0, 1024))
	}
	if g.chance(2) {
		p := d.piece(65000, 65008)
		p.Offset = 8191 - g.IntN(2)
		p.More = g.chance(2)
		p.Payload = g.octets(g.IntN(24))
		list = insert(g, list, p)
	}
	return build(list)
}

// soil changes what frames a packet: padding, truncation, Payload Length 0.
func (g generator) soil(packets [][]byte) [][]byte {
	for i, p := range packets {
		switch g.IntN(120) {
		case 0, 1, 2:
			packets[i] = append(p, g.octets(1+g.IntN(30))...)
		case 3:
			packets[i] = p[:1+g.IntN(len(p)-1)]
		case 4:
			binary.BigEndian.PutUint16(p[4:], 0)
		case 5:
			setPayloadLength(p, g.IntN(payloadLength(p)+1))
		}
	}
	return packets
}
