package oracle

import (
	"math/rand/v2"
	"net/netip"
)

// A generator draws the packets of one sequence.
type generator struct{ *rand.Rand }

// families of sequences, and how often each is drawn.
var families = []struct {
	name   string
	weight int
	draw   func(generator) [][]byte
}{
	{"storm", 30, generator.storm},
	{"plan", 40, generator.plan},
	{"headers", 12, generator.headers},
	{"marks", 6, generator.marks},
	{"damage", 8, generator.damage},
	{"pieces", 3, generator.pieces},
	{"limit", 2, generator.limit},
}

// Generate returns the sequence of that number, always the same for the same
// seed. It may be called by several goroutines at once.
func Generate(seed, number uint64) *Sequence {
	g := generator{rand.New(rand.NewPCG(seed, number))}
	sum := 0
	for _, f := range families {
		sum += f.weight
	}
	at := g.IntN(sum)
	for _, f := range families {
		if at < f.weight {
			return &Sequence{Name: f.name, Packets: f.draw(g)}
		}
		at -= f.weight
	}
	panic("unreachable: the weights were summed up")
}

// chance reports true once in n draws.
func (g generator) chance(n int) bool { return g.IntN(n) == 0 }

// pick returns one of the values.
func pick[T any](g generator, values ...T) T { return values[g.IntN(len(values))] }

// octets returns random octets.
func (g generator) octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = uint8(g.Uint32())
	}
	return b
}

// unicast returns a random unique local address.
func (g generator) unicast() netip.Addr {
	a := [16]byte{0: 0xfd}
	copy(a[8:], g.octets(8))
	return netip.AddrFrom16(a)
}

// source returns a source address: mostly an ordinary one.
func (g generator) source() netip.Addr {
	if !g.chance(24) {
		return g.unicast()
	}
	return pick(g, address("::"), address("fe80::1:2"), address("::ffff:192.0.2.1"), address("2001:db8::1"),
		address("::1"), address("ff02::1"), address("ff0e::5"))
}

// destination returns a destination address: mostly an ordinary one.
func (g generator) destination() netip.Addr {
	if !g.chance(24) {
		return g.unicast()
	}
	return pick(g, address("::"), address("fe80::2"), address("::ffff:192.0.2.2"), address("ff02::1"), address("ff05::2"),
		address("ff0e::3"), address("::1"), address("ff00::1"), address("ff01::1"), address("ff11::4"))
}

// base returns a packet with all but the Fragment header's fields and the
// payload.
func (g generator) base() Packet {
	p := Packet{
		Source: g.source(), Destination: g.destination(),
		TrafficClass: pick(g, uint8(0), 0, uint8(g.IntN(64))<<2), FlowLabel: g.Uint32() & 0xfffff,
		HopLimit:   pick(g, uint8(64), 255, 1, 0, uint8(g.Uint32())),
		Fragmented: true, Identification: g.Uint32(), NextHeader: g.upper(),
	}
	if g.chance(4) {
		p.TrafficClass |= uint8(g.IntN(4))
	}
	if g.chance(4) {
		p.Extensions = g.extensions(3)
	}
	return p
}

// upper returns a next-header value to fragment: mostly one without further
// headers.
func (g generator) upper() uint8 {
	if !g.chance(4) {
		return protocolUDP
	}
	return pick(g, uint8(protocolICMPv6), protocolICMPv6, protocolTCP, protocolNone, protocolESP, protocolSCTP, 4, 253,
		protocolMobility, protocolHIP, protocolShim6, protocolHopByHop, protocolDestination, protocolRouting, protocolAH,
		protocolFragment)
}

// shuffle returns the packets in random order.
func shuffle[T any](g generator, values []T) {
	g.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
}
