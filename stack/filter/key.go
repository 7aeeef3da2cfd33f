package filter

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// A pair is the two ends of flows without their ports, in order: the lower
// address first, then the lower zone.
type pair struct {
	address [2]address
	zone    [2]uint32
}

// An address is an IPv6 address, the high half first.
type address [2]uint64

func makeAddress(a *[16]byte) address {
	return address{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])}
}

// octets returns the address as it stands in packets.
func (a address) octets() (o [16]byte) {
	binary.BigEndian.PutUint64(o[:8], a[0])
	binary.BigEndian.PutUint64(o[8:], a[1])
	return o
}

// compare returns -1, 0 or 1.
func (a address) compare(b address) int {
	for i := range a {
		if a[i] != b[i] {
			if a[i] < b[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// A key names a flow, the same for packets of both directions: its ends are in
// order, the lower address first, then the lower zone, then the lower port.
type key struct {
	pair
	port     [2]uint16
	protocol uint8
	// asker tells whose echo requests a flow of ICMPv6 is for: 1 + the index of
	// that end, as each of two nodes may ask the other under one Identifier.
	asker uint8
}

// A tuple is what names a flow in one packet.
type tuple struct {
	source, destination         address
	sourceZone, destinationZone uint32
	sourcePort, destinationPort uint16
	protocol                    uint8
	icmpType                    uint8
}

// tuple returns the packet's tuple.
func (p *Packet) tuple() tuple {
	t := tuple{
		makeAddress(&p.Source), makeAddress(&p.Destination),
		p.FromZone, p.ToZone,
		p.SourcePort, p.DestinationPort,
		p.Protocol, p.ICMPType,
	}
	if p.Protocol == ICMPv6 {
		t.sourcePort, t.destinationPort = p.Identifier, p.Identifier
	}
	return t
}

// tuple returns the tuple of the packet that q is quoted from, by an error
// that comes from where that packet went to.
func (q *Quote) tuple(from, to uint32) tuple {
	t := tuple{
		makeAddress(&q.Source), makeAddress(&q.Destination),
		to, from,
		q.SourcePort, q.DestinationPort,
		q.Protocol, q.ICMPType,
	}
	if q.Protocol == ICMPv6 {
		t.sourcePort, t.destinationPort = q.Identifier, q.Identifier
	}
	return t
}

// key returns the key of the packet's flow, and the index in it of the end that
// the packet comes from. That is 0 if both ends are the same; such packets count
// as of one direction, and an echo reply is of no flow.
func (t *tuple) key() (k key, from uint8) {
	if t.descends() {
		from = 1
	}
	to := 1 - from
	k.address[from], k.address[to] = t.source, t.destination
	k.zone[from], k.zone[to] = t.sourceZone, t.destinationZone
	k.port[from], k.port[to] = t.sourcePort, t.destinationPort
	k.protocol = t.protocol
	if t.protocol == ICMPv6 {
		switch t.icmpType {
		case echoRequest:
			k.asker = 1 + from
		case echoReply:
			k.asker = 1 + to
		}
	}
	return k, from
}

// descends reports whether the source stands behind the destination in a key.
func (t *tuple) descends() bool {
	if c := t.source.compare(t.destination); c != 0 {
		return c > 0
	}
	if t.sourceZone != t.destinationZone {
		return t.sourceZone > t.destinationZone
	}
	return t.sourcePort > t.destinationPort
}

// A seed makes hashes that nobody outside can foresee.
type seed [4]uint64

func makeSeed() seed {
	return seed{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64()}
}

// mix returns both halves of a product, folded.
func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}

// pair returns the hash of p.
func (s *seed) pair(p *pair) uint64 {
	h := mix(p.address[0][0]^s[0], p.address[0][1]^s[1])
	h ^= mix(p.address[1][0]^s[2], p.address[1][1]^s[3]^h)
	return mix(h^s[1], uint64(p.zone[0])<<32^uint64(p.zone[1])^s[0])
}

// key returns the hash of k.
func (s *seed) key(k *key) uint64 {
	rest := uint64(k.port[0])<<48 | uint64(k.port[1])<<32 | uint64(k.protocol)<<8 | uint64(k.asker)
	return mix(s.pair(&k.pair)^s[3], rest^s[2])
}
