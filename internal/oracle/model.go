package oracle

import "encoding/binary"

// A Model is a slow and obvious reassembler that follows the rules it is
// given: [Kernel], [Linux], [RFC8200] or any others. What sets two sets of
// rules apart is thus stated once, and a difference between two reassemblers
// is laid to the rules that make the model differ in the same way.
type Model struct {
	rules     Rule
	high      int
	datagrams map[datagramKey]*datagram
}

// NewModel returns a model that holds nothing. Above high octets of payload
// held, [MemoryRefusal] refuses; 0 means never.
func NewModel(rules Rule, high int) *Model {
	return &Model{rules: rules, high: high, datagrams: make(map[datagramKey]*datagram)}
}

// Run returns what the rules make of the sequence: what comes out upon each
// packet, nil for nothing.
func Run(s *Sequence, rules Rule) [][]byte {
	m := NewModel(rules, s.High)
	outputs := make([][]byte, len(s.Packets))
	for i, p := range s.Packets {
		outputs[i] = m.Gather(p)
	}
	return outputs
}

// Gather takes one packet in, borrowed, and returns what comes out upon it,
// nil for nothing.
func (m *Model) Gather(packet []byte) []byte {
	if m.rules.Has(Reception) {
		if packet = received(packet); packet == nil {
			return nil
		}
	}
	if len(packet) < headerLength {
		return packet
	}
	length := payloadLength(packet)
	covered := packet[:min(len(packet), headerLength+length)]
	if length == 0 {
		if m.rules.Has(Jumbograms) {
			return packet
		}
		covered = packet
	}
	c, ok := findFragmentHeader(covered, m.rules.Has(OtherHeaders))
	if !ok {
		return packet
	}
	if length == 0 || len(packet) < headerLength+length {
		return nil
	}
	return m.gather(packet, covered, c)
}

// gather deals with a packet that has a Fragment header; covered is the packet
// less padding.
func (m *Model) gather(packet, covered []byte, c chain) []byte {
	if len(covered) < c.at+8 {
		if m.rules.Has(CutHeader) && cutStub(covered, c) {
			return packet
		}
		return nil
	}
	f := newFragment(covered, c)
	f.whole = packet
	if f.start != 0 {
		return m.collect(f)
	}
	switch m.first(f) {
	case passed:
		return packet
	case refused:
		return nil
	case alone:
		return (&datagram{held: []*fragment{f}, end: f.end}).assemble(m.rules)
	}
	return m.collect(f)
}

// cutStub reports whether the kernel takes a packet that ends within its
// Fragment header for a first fragment without an upper-layer header.
func cutStub(packet []byte, c chain) bool {
	return len(packet) >= c.at+4 && binary.BigEndian.Uint16(packet[c.at+2:])>>3 == 0 && readTail(packet, c.at, true).stub()
}

// A judgement is what becomes of a first fragment for its headers.
type judgement uint8

const (
	sound judgement = iota
	refused
	passed
	// alone says that the fragment is a datagram by itself.
	alone
)

// first applies the rules that look at a first fragment's headers.
func (m *Model) first(f *fragment) judgement {
	kernel, ours := readTail(f.packet, f.chain.at, true), readTail(f.packet, f.chain.at, false)
	switch {
	case f.next == protocolHopByHop && !m.rules.Has(HopByHopFirst),
		ours.nested && !m.rules.Has(NestedHeader),
		ours.incomplete() && !m.rules.Has(Stubs),
		f.neighborDiscovery() && !m.rules.Has(Neighbors):
		return refused
	case kernel.stub() && m.rules.Has(Stubs):
		return passed
	case !f.more && !m.rules.Has(SharedAtomic):
		return alone
	}
	return sound
}

// collect adds f to its datagram and returns what comes out.
func (m *Model) collect(f *fragment) []byte {
	if m.rules.Has(MemoryRefusal) && m.high > 0 && m.octets() > m.high {
		return nil
	}
	if f.end > 65535 {
		return nil
	}
	d := m.datagrams[f.key]
	if d == nil {
		d = &datagram{}
	}
	fate := d.add(f, m.rules)
	switch fate {
	case drop:
	case keep:
		m.datagrams[f.key] = d
	default:
		delete(m.datagrams, f.key)
	}
	switch fate {
	case complete:
		return d.assemble(m.rules)
	case passAndKill:
		return f.whole
	}
	return nil
}

// octets returns how much payload is held.
func (m *Model) octets() int {
	sum := 0
	for _, d := range m.datagrams {
		sum += d.octets
	}
	return sum
}
