package defrag_test

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"github.com/v6stack/v6stack/defrag"
)

// A host is a source of fragments: an address in a /64.
type host struct{ prefix, address uint32 }

// A segment is a fragment of a host's datagram. Its payload is a function of
// where it lies, so that any octet out of place shows.
type segment struct {
	id     uint32
	offset int
	length int
	more   bool
}

// patternAt is the octet at that offset of every datagram; it is never 0.
func patternAt(offset int) byte { return byte(1 + (offset+offset/255)%255) }

// packet builds the fragment as h sends it, appended to dst.
func (p segment) packet(h host, dst []byte) []byte {
	const next = 253 // a protocol for experiments: no header to look for
	var header [48]byte
	header[0], header[6], header[7] = 0x60, 44, 64
	binary.BigEndian.PutUint16(header[4:], uint16(8+p.length))
	binary.BigEndian.PutUint32(header[8:], 0x20010db8)
	binary.BigEndian.PutUint32(header[12:], h.prefix)
	binary.BigEndian.PutUint32(header[20:], h.address)
	header[24], header[39] = 0xfd, 1
	header[40] = next
	binary.BigEndian.PutUint16(header[42:], uint16(p.offset))
	if p.more {
		header[43] |= 1
	}
	binary.BigEndian.PutUint32(header[44:], p.id)
	dst = append(dst, header[:]...)
	for i := range p.length {
		dst = append(dst, patternAt(p.offset+i))
	}
	return dst
}

// segments cuts a datagram of size octets into fragments of length octets.
func segments(id uint32, size, length int) (list []segment) {
	for at := 0; at < size; at += length {
		list = append(list, segment{id, at, min(length, size-at), at+length < size})
	}
	return list
}

// wholePattern reports whether b is a whole datagram of size octets of payload.
func wholePattern(b *buffer.Buffer, size int) bool {
	octets := b.Flatten()
	if len(octets) != 40+size {
		return false
	}
	for i, octet := range octets[40:] {
		if octet != patternAt(i) {
			return false
		}
	}
	return true
}

// A crowd sends from many hosts into one engine, whose clock it owns.
type crowd struct {
	testing.TB
	engine *defrag.Engine
	clock  *faketime.ManualClock

	mu       sync.Mutex
	gathered uint64
	losses   map[defrag.Verdict]uint64 // told; guarded by mu
	perZone  map[defrag.Zone]uint64    // losses of each zone; guarded by mu
}

// newCrowd returns a crowd before an engine of that configuration. When the
// test ends the engine is closed and the balance drawn: all that was gathered
// is counted once, and nothing is left.
func newCrowd(t testing.TB, cfg defrag.Config) *crowd {
	t.Helper()
	c := &crowd{
		TB:      t,
		clock:   faketime.NewManualClock(),
		losses:  map[defrag.Verdict]uint64{},
		perZone: map[defrag.Zone]uint64{},
	}
	cfg.Clock = c.clock
	c.clock.Advance(time.Hour)
	e, err := defrag.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.engine = e
	t.Cleanup(c.settle)
	return c
}

// HandleDrop implements defrag.Handler.
func (c *crowd) HandleDrop(d *defrag.Drop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.losses[d.Verdict]++
	c.perZone[d.Metadata.Zone]++
}

// lost returns how many packets were dropped as v.
func (c *crowd) lost(v defrag.Verdict) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.losses[v]
}

// lostIn returns how many packets of a zone were dropped.
func (c *crowd) lostIn(zone defrag.Zone) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.perZone[zone]
}

// settle closes the engine and draws the balance.
func (c *crowd) settle() {
	c.engine.Close()
	if err := c.engine.Audit(); err != nil {
		c.Error(err)
	}
	s := c.engine.Stats().Total
	if s.Queues != 0 || s.Fragments != 0 || s.Bytes != 0 {
		c.Errorf("after Close %d queues, %d fragments, %d octets are held", s.Queues, s.Fragments, s.Bytes)
	}
	sum := uint64(0)
	for v := range defrag.NumVerdicts {
		sum += s.Packets[v]
		if told := c.lost(v); v.IsDrop() && told != s.Packets[v] {
			c.Errorf("%d packets told as %v, %d counted", told, v, s.Packets[v])
		}
	}
	if sum != c.gathered {
		c.Errorf("%d packets counted, %d gathered", sum, c.gathered)
	}
}

// send gathers one fragment, in a chunk of at least capacity octets, and reports
// its verdict. A datagram that it completes must be whole.
func (c *crowd) send(h host, zone defrag.Zone, p segment, capacity int) defrag.Verdict {
	c.Helper()
	v := buffer.NewView(max(capacity, 48+p.length))
	v.Write(p.packet(h, nil))
	b := buffer.MakeWithView(v)
	c.mu.Lock()
	c.gathered++
	c.mu.Unlock()
	verdict := c.engine.Gather(&b, &defrag.Metadata{Zone: zone, Handler: c}, nil)
	if verdict == defrag.Reassembled && !wholePattern(&b, int(b.Size())-40) {
		c.Errorf("host %v, datagram %d: a datagram of %d octets is not what was sent", h, p.id, b.Size())
	}
	b.Release()
	return verdict
}

// zoneBytes returns the truesize that a zone holds.
func (c *crowd) zoneBytes(zone defrag.Zone) uint64 {
	s, _ := c.engine.ZoneStats(zone)
	return s.Bytes
}
