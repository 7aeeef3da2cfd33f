package oracle

// A draft is a datagram to fragment.
type draft struct {
	base Packet
	data []byte
}

// draft returns a datagram of about length octets.
func (g generator) draft(length int) *draft {
	d := &draft{base: g.base()}
	d.data = g.fragmentable(d.base.NextHeader)
	if more := length - len(d.data); more > 0 {
		d.data = append(d.data, g.octets(more)...)
	}
	return d
}

// piece returns the fragment of the octets from start on to end. The last one
// of the datagram has no more to follow.
func (d *draft) piece(start, end int) Packet {
	p := d.base
	p.Offset = start / 8
	p.More = end < len(d.data)
	p.Payload = d.data[start:end]
	return p
}

// cut returns the datagram in fragments of at most most units of 8 octets.
func (d *draft) cut(g generator, most int) []Packet {
	var list []Packet
	for at := 0; at < len(d.data); {
		end := min(at+8*(1+g.IntN(most)), len(d.data))
		list = append(list, d.piece(at, end))
		at = end
	}
	return list
}

// sibling returns a datagram like d but for one field of its key or none.
func (d *draft) sibling(g generator) *draft {
	s := &draft{base: d.base, data: append([]byte(nil), d.data...)}
	for i := min(len(s.data), 24); i < len(s.data); i++ {
		s.data[i] ^= 0xff
	}
	switch g.IntN(4) {
	case 0:
		s.base.Identification++
	case 1:
		s.base.Source = g.unicast()
	case 2:
		s.base.Destination = g.unicast()
	}
	return s
}

// order puts the fragments into an order of arrival.
func order(g generator, list []Packet) []Packet {
	switch g.IntN(5) {
	case 0:
		for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
			list[i], list[j] = list[j], list[i]
		}
	case 1:
		shuffle(g, list)
	case 2:
		return evensThenOdds(list)
	}
	return list
}

func evensThenOdds(list []Packet) []Packet {
	var sorted []Packet
	for parity := range 2 {
		for i := parity; i < len(list); i += 2 {
			sorted = append(sorted, list[i])
		}
	}
	return sorted
}

// interleave merges two lists, each in its order.
func interleave[T any](g generator, a, b []T) []T {
	var merged []T
	for len(a) > 0 || len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && g.chance(2) {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	return merged
}

// insert puts p at a random place, or at the end.
func insert(g generator, list []Packet, p ...Packet) []Packet {
	at := len(list)
	if !g.chance(4) {
		at = g.IntN(len(list) + 1)
	}
	return append(append(append([]Packet(nil), list[:at]...), p...), list[at:]...)
}

// whole leaves the Fragment header out, so that the payload follows the other
// headers.
func (p *Packet) whole() {
	p.Fragmented = false
	if len(p.Extensions) == 0 && p.NextHeader == protocolHopByHop {
		p.NextHeader = protocolDestination
	}
}

// build returns the octets of the packets.
func build(list []Packet) [][]byte {
	packets := make([][]byte, len(list))
	for i := range list {
		packets[i] = list[i].Bytes()
	}
	return packets
}
