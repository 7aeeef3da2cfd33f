package oracle

// extensions returns up to most extension headers to stand before a Fragment
// header.
func (g generator) extensions(most int) []Extension {
	var list []Extension
	if g.chance(3) {
		list = append(list, g.hopByHop())
	}
	if g.chance(10) {
		list = append(list, g.long())
	}
	for range g.IntN(most + 1) {
		e := g.extension()
		if len(list) == 0 && e.Type == protocolHopByHop {
			e = g.hopByHop()
		}
		list = append(list, e)
	}
	return list
}

// extension returns a header that a walk may step over.
func (g generator) extension() Extension {
	next := pick(g, uint8(protocolDestination), protocolDestination, protocolRouting, protocolAH, protocolHopByHop)
	if g.chance(12) {
		next = pick(g, uint8(protocolMobility), protocolHIP, protocolShim6)
	}
	size := 8 * (1 + g.IntN(3))
	if next == protocolAH {
		size = pick(g, 12, 16, 24, 8)
	}
	return Extension{Type: next, Octets: g.octets(size)}
}

// long returns a header that makes the chain pass octet 256 or come near.
func (g generator) long() Extension {
	return Extension{Type: protocolDestination, Octets: g.octets(8 * (20 + g.IntN(60)))}
}

// hopByHop returns a Hop-by-Hop Options header: mostly one that the kernel's
// receive function takes. It judges each kind of option in a way of its own,
// and the model knows only those that are drawn here.
func (g generator) hopByHop() Extension {
	body := pick(g,
		[]byte{optionPadN, 4, 0, 0, 0, 0},
		[]byte{5, 2, 0, 0, optionPadN, 0},
		[]byte{0, 0, 0, 0, 0, 0},
		[]byte{0x1e, 2, 7, 7, 0, 0},
		[]byte{0x3e, 4, 1, 2, 3, 4},
	)
	if g.chance(6) {
		body = pick(g,
			[]byte{0x5e, 4, 1, 2, 3, 4},
			[]byte{0x9e, 4, 1, 2, 3, 4},
			[]byte{0xde, 4, 1, 2, 3, 4},
			[]byte{optionJumbo, 4, 0, 0, 1, 0},
			[]byte{optionJumbo, 4, 0, 1, 1, 0},
			[]byte{optionPadN, 4, 0, 1, 0, 0},
			[]byte{optionPadN, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			[]byte{0, optionPadN, 4, 0, 0, 0, 0, 0x1e, 5, 1, 1, 1, 1, 1},
			[]byte{0, 0, optionPadN, 4, 0, 0, 0, 0, 0x1e, 4, 1, 1, 1, 1},
			[]byte{0x1e, 9, 1, 1, 1, 1},
			[]byte{0, 0, 0, 0, 0, 0x1e},
			[]byte{0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0},
			[]byte{
				0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0,
				0x1e, 0, 0x1e, 0,
			},
		)
	}
	return Extension{Type: protocolHopByHop, Octets: append([]byte{0, 0}, body...)}
}

// fragmentable returns the start of a datagram's fragmentable part whose first
// header is next: extension headers up to an upper-layer header, and the
// octets of that.
func (g generator) fragmentable(next uint8) []byte {
	var part []byte
	for depth := 0; depth < 6; depth++ {
		switch next {
		case protocolFragment:
			then := pick(g, uint8(protocolUDP), protocolUDP, protocolICMPv6, protocolDestination, protocolNone)
			offset := pick(g, 0, 0, uint8(g.IntN(4)<<3))
			part = append(part, then, 0, 0, offset, 1, 2, 3, 4)
			next = then
		case protocolHopByHop, protocolDestination, protocolRouting, protocolAH, protocolMobility, protocolHIP, protocolShim6:
			e := g.extension()
			e.Type = next
			if next == protocolAH {
				e.Octets = g.octets(pick(g, 8, 16, 24))
			} else {
				e.Octets = g.octets(8 * (1 + g.IntN(2)))
			}
			then := g.upper()
			at := len(part)
			part, _ = appendChain(part, []Extension{e}, then)
			part[at] = then
			next = then
		case protocolICMPv6:
			return append(part, pick(g, uint8(128), 128, 1, uint8(130+g.IntN(20))), 0, 1, 2, 3, 4, 5, 6)
		default:
			return append(part, g.octets(20)...)
		}
	}
	return append(part, g.octets(8)...)
}
