package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Directed returns the sequences that are always compared: one or more for
// each row of docs/BEHAVIOUR.md, and the corners that chance seldom finds.
// They are the same at every call.
func Directed() []*Sequence {
	g := generator{rand.New(rand.NewPCG(8200, 6))}
	var list []*Sequence
	for _, d := range directed {
		list = append(list, &Sequence{Name: d.name, Packets: build(d.draw(g))})
	}
	list = append(list, framings(g), memoryRefusal(g))
	return append(list, markSets(g)...)
}

var directed = []struct {
	name string
	draw func(generator) []Packet
}{
	{"next-header value past octet 256", generator.farHeader},
	{"empty last fragment", generator.emptyLast},
	{"last fragment as a repeat", generator.repeatedLast},
	{"pieces that touch, last first", generator.touching},
	{"addresses", generator.addresses},
	{"hop-by-hop options", generator.options},
	{"mobility, HIP, shim6", generator.otherChains},
	{"cut headers", generator.cutHeaders},
	{"hop-by-hop behind the fragment header", func(g generator) []Packet { return g.behind(protocolHopByHop) }},
	{"two fragment headers", func(g generator) []Packet { return g.behind(protocolFragment) }},
	{"stubs", generator.stubs},
	{"neighbor discovery", generator.discovery},
	{"atomic between fragments", generator.atomicBetween},
	{"wrong length", generator.wrongLength},
	{"part of a fragment", generator.part},
	{"second end", generator.twoEnds},
	{"past the most", generator.pastMost},
	{"too long", generator.tooLong},
	{"65,535 octets", generator.largest},
	{"8,191 pieces", generator.most},
}

// plain returns a datagram of n octets of UDP with nothing unusual about it.
func (g generator) plain(n int) *draft {
	return &draft{
		base: Packet{
			Source: g.unicast(), Destination: g.unicast(), HopLimit: 64, Fragmented: true,
			Identification: g.Uint32(), NextHeader: protocolUDP,
		},
		data: g.octets(n),
	}
}

func (g generator) farHeader() []Packet {
	var list []Packet
	for _, size := range []int{208, 216, 224, 256, 480, 504} {
		d := g.plain(40)
		d.base.Extensions = []Extension{{protocolDestination, g.octets(size)}, {protocolDestination, g.octets(8)}}
		list = append(list, d.piece(0, 40), d.piece(16, 40), d.piece(0, 16))
	}
	return list
}

func (g generator) emptyLast() []Packet {
	d := g.plain(40)
	early := d.piece(16, 16)
	early.More = false
	late := d.piece(40, 40)
	return []Packet{d.piece(0, 16), early, d.piece(16, 24), d.piece(24, 40), late}
}

func (g generator) repeatedLast() []Packet {
	d := g.plain(40)
	again := d.piece(0, 16)
	again.More, again.Offset = false, 2
	return []Packet{d.piece(0, 16), d.piece(16, 32), again, d.piece(32, 40)}
}

func (g generator) touching() []Packet {
	var list []Packet
	for _, reverse := range []bool{false, true} {
		d := g.plain(40)
		a, b := d.piece(0, 16), d.piece(16, 32)
		if reverse {
			a, b = b, a
		}
		list = append(list, a, b, d.piece(8, 24), d.piece(32, 40))
	}
	return list
}

func (g generator) addresses() []Packet {
	var list []Packet
	for _, a := range []string{"::", "::1", "::ffff:192.0.2.1", "fe80::1", "ff00::1", "ff01::1", "ff02::1", "ff05::1", "ff0e::1", "ff11::1"} {
		from, to := g.plain(24), g.plain(24)
		from.base.Source, to.base.Destination = address(a), address(a)
		list = append(list, from.piece(0, 16), from.piece(16, 24), to.piece(0, 16), to.piece(16, 24))
	}
	return list
}

func (g generator) options() []Packet {
	var list []Packet
	for range 120 {
		d := g.plain(16)
		d.base.Extensions = []Extension{g.hopByHop()}
		list = append(list, d.piece(0, 16))
	}
	return list
}

func (g generator) otherChains() []Packet {
	var list []Packet
	for _, next := range []uint8{protocolMobility, protocolHIP, protocolShim6, protocolRouting, protocolDestination, protocolAH} {
		d := g.plain(24)
		d.base.Extensions = []Extension{{next, g.octets(16)}}
		list = append(list, d.piece(0, 16), d.piece(16, 24))
	}
	return list
}

func (g generator) cutHeaders() []Packet {
	var list []Packet
	for n := range 8 {
		d := g.plain(0)
		d.base.whole()
		d.base.NextHeader = protocolFragment
		for _, header := range [][]byte{{protocolUDP, 0, 0, 1, 1, 2, 3}, {protocolNone, 0, 0, 1, 1, 2, 3}, {protocolUDP, 0, 1, 1, 1, 2, 3}} {
			d.base.Payload = header[:min(n, len(header))]
			list = append(list, d.base)
		}
	}
	return list
}

func (g generator) behind(next uint8) []Packet {
	d := g.plain(48)
	d.base.NextHeader = next
	d.data = append(g.fragmentable(next), d.data...)
	size := len(d.data)
	alone := d.piece(0, size)
	alone.Identification++
	return []Packet{d.piece(0, 48), d.piece(48, size), alone}
}

func (g generator) stubs() []Packet {
	var list []Packet
	for _, next := range []uint8{protocolTCP, protocolUDP, protocolICMPv6, protocolNone, protocolESP, protocolDestination, protocolFragment} {
		for _, size := range []int{0, 1, 2, 3, 7, 8, 19, 20} {
			for _, more := range []bool{false, true} {
				d := g.plain(24)
				d.data[0], d.data[1], d.data[2], d.data[3] = protocolUDP, 0, 0, 0
				d.base.NextHeader = next
				p := d.piece(0, size)
				p.More = more
				list = append(list, p, d.piece(size&^7, 24))
			}
		}
	}
	return list
}

func (g generator) discovery() []Packet {
	var list []Packet
	for kind := 128; kind < 150; kind++ {
		d := g.plain(32)
		d.base.NextHeader = protocolICMPv6
		d.data[0], d.data[1] = uint8(kind), 0
		alone := d.piece(0, 32)
		alone.Identification++
		list = append(list, d.piece(16, 32), d.piece(0, 16), alone)
	}
	return list
}

func (g generator) atomicBetween() []Packet {
	var list []Packet
	for _, size := range []int{8, 16, 24, 32, 40, 48} {
		d := g.plain(48)
		p := d.piece(0, size)
		p.More = false
		list = append(list, d.piece(0, 16), d.piece(32, 40), p, d.piece(16, 32), d.piece(40, 48))
	}
	return list
}

func (g generator) wrongLength() []Packet {
	d := g.plain(40)
	wrong := d.piece(16, 27)
	return []Packet{d.piece(0, 16), wrong, d.piece(16, 32), d.piece(32, 40)}
}

func (g generator) part() []Packet {
	d := g.plain(40)
	return []Packet{d.piece(0, 32), d.piece(8, 16), d.piece(0, 32), d.piece(32, 40)}
}

func (g generator) twoEnds() []Packet {
	var list []Packet
	for _, end := range []int{24, 32, 40, 47} {
		d := g.plain(48)
		other := d.piece(24, end)
		other.Offset, other.More = max(3, end/8-1), false
		list = append(list, d.piece(0, 16), d.piece(32, 40), other, d.piece(16, 32), d.piece(40, 48))
	}
	return list
}

// pastMost sends fragments that end at the most there can be and one octet or
// one unit past it, each amid a datagram that has nothing to do with it.
func (g generator) pastMost() []Packet {
	var list []Packet
	for _, size := range []int{7, 8, 16} {
		for _, more := range []bool{false, true} {
			d := g.plain(16)
			far := d.base
			far.Offset, far.More, far.Payload = 8191, more, g.octets(size)
			list = append(list, d.piece(0, 8), far, d.piece(8, 16))
		}
	}
	return list
}

// tooLong sends a datagram whose headers make it too long, and then its first
// fragment again with shorter headers.
func (g generator) tooLong() []Packet {
	d := g.plain(65528)
	first, last := d.piece(0, 8), d.piece(65520, 65528)
	long := first
	long.Extensions = []Extension{{protocolDestination, g.octets(104)}}
	return []Packet{long, last, d.piece(8, 65520), first, last}
}

// largest sends datagrams whose headers and payload add up to the most there
// can be, and one octet more.
func (g generator) largest() []Packet {
	var list []Packet
	for _, over := range []int{0, 1} {
		for _, headers := range []int{0, 24} {
			d := g.plain(65535 - headers + over)
			if headers > 0 {
				d.base.Extensions = []Extension{{protocolDestination, g.octets(headers)}}
			} else if over > 0 {
				continue // past the most that a fragment can say
			}
			list = append(list, d.piece(32768, len(d.data)), d.piece(0, 32768))
		}
	}
	return list
}

func (g generator) most() []Packet {
	d := g.plain(8191 * 8)
	return evensThenOdds(d.cut(g, 1))
}

// framings returns packets, fragments and others, that are padded, cut off, or
// of Payload Length 0.
func framings(g generator) *Sequence {
	s := &Sequence{Name: "framings"}
	for _, fragmented := range []bool{true, false} {
		for _, hopByHop := range []bool{true, false} {
			p := g.plain(24).piece(0, 24)
			p.Fragmented = fragmented
			if hopByHop {
				p.Extensions = []Extension{{protocolHopByHop, []byte{0, 0, optionPadN, 4, 0, 0, 0, 0}}}
			}
			packet := p.Bytes()
			none := slices.Clone(packet)
			setPayloadLength(none, 0)
			s.Packets = append(s.Packets, packet, append(slices.Clone(packet), 1, 2, 3), none)
			for _, n := range []int{1, 39, 40, 41, 42, 43, 44, 47, 48, len(packet) - 1} {
				s.Packets = append(s.Packets, packet[:n])
			}
		}
	}
	return s
}

// memoryRefusal fills the kernel's memory with fragments of one source, and
// then sends a whole datagram of another.
func memoryRefusal(g generator) *Sequence {
	const high, flood = 200_000, 100
	bad, good := g.plain(4096), g.plain(2048)
	var list []Packet
	for i := range flood {
		p := bad.piece(8, 4096-8)
		p.Identification = uint32(i)
		list = append(list, p)
	}
	list = append(list, good.piece(0, 1024), good.piece(1024, 2048))
	return &Sequence{Name: "memory", High: high, Packets: build(list)}
}

// markSets returns a datagram for each set of ECN code points, in order and in
// reverse.
func markSets(g generator) []*Sequence {
	var list []*Sequence
	for set := 1; set < 16; set++ {
		var marks []uint8
		for mark := range uint8(4) {
			if set>>mark&1 != 0 {
				marks = append(marks, mark)
			}
		}
		s := &Sequence{Name: fmt.Sprintf("ECN code points %v", marks)}
		for _, reverse := range []bool{false, true} {
			d := g.plain(16 * (len(marks) + 1))
			pieces := d.cut(g, 1)
			for i := range pieces {
				pieces[i].TrafficClass = 0xb8 | marks[i%len(marks)]
			}
			if reverse {
				slices.Reverse(pieces)
			}
			s.Packets = append(s.Packets, build(pieces)...)
		}
		list = append(list, s)
	}
	return list
}
