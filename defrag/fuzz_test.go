package defrag_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// A script is a fuzzer's bytes, read as decisions. At its end all decisions
// are 0.
type script []byte

// next takes one byte.
func (s *script) next() byte {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return b
}

// A draft is a fragment to be built from few decisions.
type draft struct {
	who, where, what, form, kind byte
	filler                       byte // tells the octets of fragments apart
	at                           int  // offset in octets, if above where's
}

// draft takes a fragment.
func (s *script) draft(filler byte) draft {
	return draft{s.next(), s.next(), s.next(), s.next(), s.next(), filler, 0}
}

var (
	draftLengths = [...]int{8, 16, 24, 0, 64, 1448, 2, 9000}
	draftKinds   = [...]uint8{wire.UDPProtocol, wire.UDPProtocol, wire.TCP, wire.NoNextHeader, wire.ICMPv6, wire.FragmentHeader, wire.HopByHop, wire.DestinationOptions}
	draftChunks  = [...]int{0, 2048, 65536, 0}
	draftPieces  = [...]int{0, 48, 17, 1}
)

// meta returns what comes with the fragment.
func (d draft) meta() defrag.Metadata {
	h, _ := defrag.MakeLinkHeader([]byte{d.filler, d.who})
	return defrag.Metadata{
		Zone:             defrag.Zone(d.who & 3 % 3),
		Link:             uint32(d.who >> 2 & 1),
		LinkHeader:       h,
		ChecksumVerified: d.filler%2 == 0,
	}
}

// octets builds the packet.
func (d draft) octets() []byte {
	offset := int(d.where % 32 * 8)
	switch {
	case d.where >= 240:
		offset = int(d.where)*8 + 65536 - 256*8 // the last units there are
	case d.where >= 192:
		offset = int(d.where-192) * 512
	}
	offset = max(offset, d.at)
	length := draftLengths[d.what&7]
	data := make([]byte, length)
	for i := range data {
		data[i] = d.filler + byte(i*7)
	}
	kind := draftKinds[d.kind&7]
	if offset == 0 && kind == wire.DestinationOptions && length >= 16 {
		copy(data, wire.Options(1))
		data[0] = draftKinds[d.kind>>3&7]
	}
	if kind == wire.ICMPv6 && length > 0 && offset == 0 && d.kind&0x80 == 0 {
		data[0] = 128
	}
	source := [16]byte{0x20, 1, 0xd, 0xb8, 15: 1 + d.who>>3&1}
	packet := make([]byte, 40)
	packet[0], packet[1] = 0x60, d.what>>6<<4|d.filler&0xf
	packet[7] = d.filler
	copy(packet[8:], source[:])
	destination := [...]byte{0x20, 0xfd, 0xfe, 0xff}[d.who>>4&3]
	packet[24], packet[25], packet[39] = destination, 0x80, 9
	packet = d.extend(packet)
	header := [8]byte{kind, d.filler, byte(offset >> 8), byte(offset), 7: d.who >> 6}
	header[3] |= d.filler & 6 // reserved bits
	if d.what&8 != 0 {
		header[3] |= 1
	}
	packet = append(append(packet, header[:]...), data...)
	binary.BigEndian.PutUint16(packet[4:], uint16(len(packet)-40))
	if d.form&8 != 0 {
		packet = append(packet, 1, 2, 3)
	}
	return packet
}

// extend appends extension headers up to the Fragment header's announcement.
func (d draft) extend(packet []byte) []byte {
	add := func(at int, kind uint8, header []byte) int {
		packet[at] = kind
		at = len(packet)
		packet = append(packet, header...)
		return at
	}
	at := 6
	switch d.form & 7 {
	case 3:
		at = add(at, wire.HopByHop, wire.Options(1))
	case 4:
		at = add(at, wire.DestinationOptions, wire.Options(256))
	case 5:
		at = add(at, wire.Routing, make([]byte, 8))
		at = add(at, wire.AH, []byte{0, 1, 11: 9})
	case 6:
		at = add(at, wire.Mobility, make([]byte, 8))
	case 7:
		at = add(at, wire.HopByHop, wire.Options(2))
		at = add(at, wire.DestinationOptions, wire.Options(1))
	}
	packet[at] = wire.FragmentHeader
	return packet
}

// buffer puts octets into views as the draft wants.
func (d draft) buffer(octets []byte) buffer.Buffer {
	return chop(octets, draftPieces[d.form>>4&3], draftChunks[d.form>>6&3])
}

// config takes the configuration of an engine. A policy that remembers what it
// discarded and budgets that evict do not come together: what the eviction of
// a memory without packets takes away cannot be seen.
func (s *script) config() (cfg defrag.Config, tight bool) {
	b := s.next()
	policy := defrag.Policy(b % 3)
	tight = b&64 != 0 && policy != defrag.RFC5722
	cfg = defrag.Config{Total: 1 << 30, MaxZones: 8, Zone: s.zone(policy, tight)}
	if tight && b&4 != 0 {
		cfg.Total = 24000
	}
	if b&8 != 0 {
		cfg.MaxZones = 2
	}
	return cfg, tight
}

// zone takes the configuration of a zone.
func (s *script) zone(policy defrag.Policy, tight bool) defrag.ZoneConfig {
	b := s.next()
	c := defrag.ZoneConfig{Policy: policy, High: 1 << 30, Low: 1 << 29, Timeout: time.Duration(1+b&3) * 20 * time.Second}
	if tight {
		c.High = uint64(b>>2&7) * 4096
		c.High = max(c.High, 300)
		c.Low = max(c.High/4*uint64(b>>5&3), 1)
	}
	if b>>5 == 5 {
		c.MaxFragments = 3
	}
	if b>>5 == 7 {
		c.MaxDatagrams = 2
	}
	return c
}

// maxOperations bounds one script: the naive takes quadratic time.
const maxOperations = 150

// play plays a script.
func play(t *testing.T, s script) {
	cfg, tight := s.config()
	d := newDuel(t, cfg)
	var recent [16]draft
	for range maxOperations {
		if len(s) == 0 {
			break
		}
		op := s.next()
		switch slot := op >> 4; op & 15 {
		case 9:
			d.spray(s.draft(byte(d.tag)), 2+int(slot)*3)
		case 10: // an earlier one again
			f := recent[slot]
			b := f.buffer(f.octets())
			d.gather(&b, f.meta())
		case 11:
			d.advance(time.Duration(slot) * 4 * time.Second)
		case 12:
			policy := defrag.Policy(slot % 3)
			if tight && policy == defrag.RFC5722 || cfg.Zone.Policy == defrag.RFC5722 {
				policy = cfg.Zone.Policy
			}
			d.setZone(defrag.Zone(slot>>2), s.zone(policy, tight))
		case 13:
			if slot < 8 {
				d.removeZone(defrag.Zone(slot % 4))
			} else {
				d.flushLink(uint32(slot % 3))
			}
		case 14: // a packet cut off or spoilt
			f := s.draft(byte(d.tag))
			octets := f.octets()
			at := int(s.next()) % len(octets)
			if slot < 8 {
				octets = octets[:at]
			} else {
				octets[at] ^= s.next()
			}
			b := f.buffer(octets)
			d.gather(&b, f.meta())
		case 15:
			if slot == 15 {
				d.playEnd(&s)
				return
			}
			if slot == 14 {
				d.close()
			}
		default:
			f := s.draft(byte(d.tag))
			recent[slot] = f
			b := f.buffer(f.octets())
			d.gather(&b, f.meta())
		}
	}
	d.close()
	d.advance(time.Hour)
}

// spray gathers n fragments that lie side by side, in one of four orders, the
// last of them without the M flag if the draft has none.
func (d *duel) spray(f draft, n int) {
	length := draftLengths[f.what&7] &^ 7
	if length == 0 || length*n > 20000 {
		return
	}
	start := int(f.where%32) * 8
	for i := range n {
		switch f.kind >> 6 { // what is in the lower bits is the next header
		case 1:
			i = n - 1 - i
		case 2:
			i = i * 7 % n // shuffled; where 7 divides n, few and often
		case 3:
			i = (i*2 + i*2/n) % n
		}
		g := f
		g.where, g.at, g.filler = 0, start+i*length, byte(d.tag)
		if f.kind&0x20 != 0 && i%3 == 1 {
			g.what ^= 0x40 << (f.kind >> 4 & 1) // another ECN mark
		}
		if i < n-1 {
			g.what |= 8
		}
		b := g.buffer(g.octets())
		d.gather(&b, g.meta())
	}
}

// playEnd closes the engine amid the last fragments of a script.
func (d *duel) playEnd(s *script) {
	var packets []buffer.Buffer
	var metas []defrag.Metadata
	for len(*s) > 0 && len(packets) < 8 {
		f := s.draft(byte(len(packets)))
		packets = append(packets, f.buffer(f.octets()))
		metas = append(metas, f.meta())
	}
	d.closeAmid(packets, metas)
}

// seeds are scripts that reach the main ways: who, where, what, form, kind.
var seeds = [][]byte{
	{0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0},                                    // two fragments
	{0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 8, 0, 0},                                    // in reverse
	{1, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0, 0, 0},                  // a duplicate under RFC5722
	{2, 0, 0, 0, 0, 14, 0, 0, 16, 0, 1, 9, 0, 0, 0, 0, 3, 0, 0, 0},                // policy Linux, unaligned
	{64, 8, 0, 0, 1, 13, 128, 0, 0, 64, 1, 13, 128, 0, 0, 128, 1, 13, 128, 0},     // eviction
	{68, 255, 0, 0, 1, 13, 128, 0, 0, 65, 1, 13, 128, 0, 0, 130, 1, 13, 128, 0},   // eviction for the total
	{0, 0, 0, 0, 0, 8, 0, 0, 251, 251, 0, 0, 0, 8, 0, 0},                          // a timeout
	{0, 0, 0, 0, 0, 8, 3, 0, 0, 0, 254, 0, 0, 0},                                  // too long by one octet
	{0, 0, 0x39, 0, 1, 9, 0, 0, 0, 0, 1, 8, 0, 0},                                 // the start of one of many
	{0, 0, 0x19, 0, 0, 0x40, 0, 0x30},                                             // ECT(1) and CE
	{0, 0, 0x19, 0, 0, 0x80, 0, 0x20},                                             // ECT(0) and CE
	{0, 0, 0, 0, 0, 8, 4, 0, 0, 0, 255, 6, 4, 0},                                  // too long
	{8, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 8, 0, 0, 0, 2, 0, 8, 0, 0, 13, 0, 2, 0, 8},  // too many zones
	{0, 0, 0x99, 0, 0, 0, 0, 0x80},                                                // many, shuffled
	{0, 0, 0xf9, 0, 0, 1, 0x80, 0x41, 10, 0, 0, 0, 0, 0},                          // many, reversed, from 2 KiB chunks
	{0, 0, 0, 0, 0, 72, 0, 0, 255, 0, 1, 192, 0, 0, 0, 2, 8, 0, 0, 0, 3, 8, 0, 0}, // close amid
}

// FuzzEngine plays the same operations to an engine and to the naive, and
// compares everything after each.
func FuzzEngine(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) { play(t, data) })
}

// TestEngineAgainstNaive plays random scripts of which most fragments belong
// to few datagrams.
func TestEngineAgainstNaive(t *testing.T) {
	random := rand.New(rand.NewPCG(8200, 5722))
	pick := func(from ...byte) byte { return from[random.IntN(len(from))] }
	octet := func() byte { return byte(random.Uint32()) }
	for range 40 {
		s := script{octet(), octet()}
		for range 60 {
			op := pick(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 10, 14, pick(0, 0, 11, 12, 13))
			s = append(s, op|octet()<<4)
			if op == 9 {
				who := octet() & pick(0, 0xff)
				// Mostly whole datagrams, of like fragments.
				s = append(s, who, pick(0, 0, 1), pick(0, 1, 2, 4, 5, 5)|octet()&pick(0, 0xc0, 0xc8), octet()&pick(0, 0xf8), octet()&pick(0xc0, 0xf0, 0xff))
				continue
			}
			who := octet() & pick(0, 0x40, 0x0f, 0xff)
			s = append(s, who, octet()&7, octet()&pick(0x08, 0x0b, 0xff), octet()&pick(0xf0, 0xff), octet()&pick(0xc0, 0xff))
		}
		play(t, append(s, 15|15<<4, 0, 0, 0, 0, 0))
	}
}

// FuzzInspect gathers any octets, in one view and in several: the verdict and
// what is left do not depend on the views.
func FuzzInspect(f *testing.F) {
	for _, seed := range seeds {
		if len(seed) > 8 {
			s := script(seed[3:])
			f.Add(s.draft(9).octets(), uint16(seed[1]))
		}
	}
	f.Fuzz(func(t *testing.T, octets []byte, cuts uint16) {
		for _, policy := range []defrag.Policy{defrag.RFC8200, defrag.RFC5722, defrag.Linux} {
			for _, piece := range []int{0, 1 + int(cuts&63), 1 + int(cuts>>6)} {
				d := newDuel(t, defrag.Config{Total: 1 << 30, MaxZones: 1, Zone: defrag.ZoneConfig{Policy: policy, High: 1 << 29, Low: 1 << 28, Timeout: time.Minute}})
				b := chop(octets, piece, 0)
				d.gather(&b, defrag.Metadata{})
				d.close()
			}
		}
	})
}
