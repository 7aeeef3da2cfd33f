package defrag

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// A key tells datagrams apart: fragments of one key belong together (RFC 8200
// section 4.5). It has no padding, so that it hashes as plain memory.
type key struct {
	source, destination [16]byte
	zone                *zone
	identification      uint32
	// link is that of the fragments where the destination means nothing
	// without it, else 0.
	link uint32
}

// makeKey returns the key in z of p, which came with meta.
func makeKey(z *zone, p *packet, meta *Metadata) key {
	k := key{
		source:         p.source,
		destination:    p.destination,
		zone:           z,
		identification: p.identification,
	}
	multicast := k.destination[0] == 0xff
	linkLocal := k.destination[0] == 0xfe && k.destination[1]&0xc0 == 0x80
	if multicast || linkLocal {
		k.link = meta.Link
	}
	return k
}

// A queue is a datagram being reassembled, with its place in the table, in
// time, and in its zone.
type queue struct {
	key  key
	hash uint64 // of key, seeded
	next *queue // in its bucket of the table

	deadline     tcpip.MonotonicTime
	line         *timeline
	older, newer *queue // in line

	zonePrev, zoneNext *queue // guarded by zone.mu
	generation         uint32 // tells the queues apart that a key has one after another

	// What the zone is charged for; read by eviction without the shard's lock.
	bytes, fragments atomic.Int32
	link             uint32

	assembly   assembly
	handler    Handler
	linkHeader *LinkHeader // nil or empty where there is none
}

// queueSize is the truesize of an empty queue: the struct as the allocator
// rounds it up, and its share of the table.
const queueSize = (int(unsafe.Sizeof(queue{}))+31)/32*32 + 16

var queuePool = sync.Pool{New: func() any { return new(queue) }}

// truesize returns the memory the queue costs.
func (q *queue) truesize() int {
	size := queueSize + q.assembly.memory()
	if q.linkHeader != nil {
		size += int(unsafe.Sizeof(*q.linkHeader))
	}
	return size
}

// remember takes from meta what the datagram will need. first says that the
// packet is the first fragment, whose link header and handler win.
func (q *queue) remember(meta *Metadata, first bool) {
	if q.handler == nil || first {
		q.handler = meta.Handler
	}
	if meta.LinkHeader.length == 0 {
		return
	}
	if q.linkHeader == nil {
		q.linkHeader = new(LinkHeader)
	}
	if first || q.linkHeader.length == 0 {
		*q.linkHeader = meta.LinkHeader
	}
}

// metadata returns that of the fragments held. Arrival and Tag are the
// caller's to fill in.
func (q *queue) metadata() Metadata {
	m := Metadata{
		Zone:             q.key.zone.id,
		Link:             q.link,
		ChecksumVerified: !q.assembly.unverified,
		Handler:          q.handler,
	}
	if q.linkHeader != nil && q.linkHeader.length > 0 {
		m.LinkHeader = *q.linkHeader
	}
	return m
}

// describe fills d in from a complete datagram, before it is joined.
func (q *queue) describe(d *Datagram, last *Metadata) {
	a := &q.assembly
	d.Metadata = q.metadata()
	d.Metadata.Arrival, d.Metadata.Tag = last.Arrival, last.Tag
	d.Identification = q.key.identification
	a.list.first().packet.ReadAt(d.FragmentHeader[:], int64(a.unfragmentable))
	d.UnfragmentableLength = int(a.unfragmentable)
	d.Length = int(a.end)
	d.LargestPacket = ipv6HeaderLength + int(a.largest)
	d.Boundaries = a.cover.appendStarts(d.Boundaries[:0])
}

// A queueList holds queues that are out of their table. The zero value is
// empty.
type queueList struct{ first *queue }

// push adds q.
func (l *queueList) push(q *queue) { q.next, l.first = l.first, q }

// pop takes a queue out, or returns nil.
func (l *queueList) pop() *queue {
	q := l.first
	if q != nil {
		l.first, q.next = q.next, nil
	}
	return q
}

// recycle releases what q holds and gives it back for reuse. It must be out of
// its table and zone.
func (q *queue) recycle() {
	q.assembly.reset()
	q.key, q.hash = key{}, 0
	q.handler = nil
	q.bytes.Store(0)
	q.fragments.Store(0)
	if q.linkHeader != nil {
		q.linkHeader.length = 0 // The memory stays for the next.
	}
	queuePool.Put(q)
}
