package defrag

import (
	"hash/maphash"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// Gather feeds one IPv6 packet in and says what became of it.
//
//	verdict      packet afterwards
//	Passed       untouched, the caller's
//	Atomic       the packet without its Fragment header, the caller's
//	Reassembled  the datagram, the caller's; datagram, unless nil, describes it
//	Held         empty; the engine took the packet over
//	a drop       as received less trailing padding, the caller's to release;
//	             meta.Handler, unless nil, was told
//
// A packet that is no fragment costs no allocation, nor does one of a datagram
// once pools are warm.
func (e *Engine) Gather(packet *buffer.Buffer, meta *Metadata, datagram *Datagram) Verdict {
	if !mayBeFragmented(packet) {
		e.count(nil, Passed, 1)
		return Passed
	}
	z := e.zones.find(meta.Zone)
	config := &e.zones.defaults
	if z != nil {
		config = z.config.Load()
	}
	p, verdict, owed := inspect(packet, config.Policy)
	if verdict == Passed {
		e.count(z, Passed, 1)
		return Passed
	}
	if z == nil {
		if z = e.zones.need(meta.Zone); z == nil {
			return e.drop(nil, packet, meta, TooManyZones, ICMPError{})
		}
	}
	if verdict == Held && e.closed.Load() {
		verdict = EngineClosed
	}
	if verdict != Held {
		return e.drop(z, packet, meta, verdict, owed)
	}
	if config.Policy != Linux && p.atomic() {
		return e.passAtomic(z, &p, packet, meta, datagram)
	}
	return e.gather(z, config, &p, packet, meta, datagram)
}

// passAtomic hands an atomic fragment on, whatever is held under its key
// (RFC 6946 section 4).
func (e *Engine) passAtomic(z *zone, p *packet, packet *buffer.Buffer, meta *Metadata, datagram *Datagram) Verdict {
	if datagram != nil {
		datagram.Metadata = *meta
		e.stamp(&datagram.Metadata)
		datagram.Identification = p.identification
		datagram.FragmentHeader = p.fragmentHeader
		datagram.UnfragmentableLength = p.unfragmentable
		datagram.Length = p.length
		datagram.LargestPacket = p.size()
		datagram.Boundaries = append(datagram.Boundaries[:0], 0)
	}
	packet.Truncate(int64(p.size()))
	cut(packet, p)
	e.count(z, Atomic, 1)
	return Atomic
}

// stamp sets the time of arrival where the caller did not.
func (e *Engine) stamp(meta *Metadata) {
	if meta.Arrival == (tcpip.MonotonicTime{}) {
		meta.Arrival = e.clock.NowMonotonic()
	}
}

// noQueue stands for the assembly of a datagram of which nothing is held.
var noQueue assembly

// gather puts a sound fragment to its datagram. config is the zone's as the
// fragment was inspected by.
func (e *Engine) gather(z *zone, config *ZoneConfig, p *packet, packet *buffer.Buffer, meta *Metadata, datagram *Datagram) Verdict {
	k := makeKey(z, p, meta)
	hash := maphash.Comparable(e.seed, k)
	s := e.shardOf(hash)
	s.mu.Lock()
	q := s.table.find(&k, hash)
	verdict := e.judge(z, q, p, config)
	switch {
	case verdict == Held:
	case q != nil && verdict.discards():
		corpse := s.discardLocked(q, verdict, config)
		s.mu.Unlock()
		e.bury(z, corpse, verdict)
		return e.refuse(z, packet, meta, verdict)
	default:
		s.mu.Unlock()
		return e.refuse(z, packet, meta, verdict)
	}
	if s.closed {
		s.mu.Unlock()
		return e.drop(z, packet, meta, EngineClosed, ICMPError{})
	}
	if q == nil {
		if q = e.newQueueLocked(s, k, hash, meta, config); q == nil {
			s.mu.Unlock() // The zone has just been removed.
			if z = e.zones.need(meta.Zone); z == nil {
				return e.drop(nil, packet, meta, TooManyZones, ICMPError{})
			}
			return e.gather(z, config, p, packet, meta, datagram)
		}
	}
	packet.Truncate(int64(p.size()))
	q.remember(meta, p.offset == 0)
	q.assembly.add(p, packet, meta)
	if !q.assembly.complete() {
		s.chargeLocked(q)
		s.mu.Unlock()
		e.enforce(z)
		return Held
	}
	s.removeLocked(q)
	s.mu.Unlock()
	e.deliver(z, q, packet, meta, datagram)
	return Reassembled
}

// judge says what p does to q, which may be nil: Held to keep it, or its
// verdict.
func (e *Engine) judge(z *zone, q *queue, p *packet, config *ZoneConfig) Verdict {
	a := &noQueue
	if q != nil {
		a = &q.assembly
	}
	if verdict := a.judge(p, config.Policy); verdict != Held {
		return verdict
	}
	switch {
	case config.MaxFragments > 0 && int(a.cover.count) >= config.MaxFragments:
		return TooManyFragments
	case a.completes(p):
		return a.outcome(p)
	case q == nil && config.MaxDatagrams > 0 && z.queues.Load() >= int64(config.MaxDatagrams):
		return TooManyDatagrams
	}
	return Held
}

// discards reports whether a verdict of judge is that of the whole datagram.
func (v Verdict) discards() bool { return v >= DatagramTooLong }

// refuse disposes of a packet that judge did not let in.
func (e *Engine) refuse(z *zone, packet *buffer.Buffer, meta *Metadata, verdict Verdict) Verdict {
	if verdict == UnalignedDiscard {
		// nf_defrag_ipv6 passes it on, for the stack to answer.
		e.count(z, Passed, 1)
		return Passed
	}
	return e.drop(z, packet, meta, verdict, ICMPError{})
}

// newQueueLocked returns a new queue of that key, or nil where its zone has been
// removed. s.mu must be held.
func (e *Engine) newQueueLocked(s *shard, k key, hash uint64, meta *Metadata, config *ZoneConfig) *queue {
	q := queuePool.Get().(*queue)
	q.key, q.hash, q.link = k, hash, meta.Link
	arrival := meta.Arrival
	if arrival == (tcpip.MonotonicTime{}) {
		arrival = e.clock.NowMonotonic()
	}
	if !s.insertLocked(q, arrival, config.Timeout) {
		q.recycle()
		return nil
	}
	return q
}

// discardLocked takes out of the table what q holds, and returns it in a queue
// of its own, to be buried. s.mu must be held.
func (s *shard) discardLocked(q *queue, verdict Verdict, config *ZoneConfig) *queue {
	if config.Policy != RFC5722 || verdict == ECNMismatch || verdict == TooManyFragments {
		s.removeLocked(q)
		return q
	}
	// RFC 5722 section 4: fragments yet to come are discarded, too. The queue
	// stays, empty, for the rest of its time.
	corpse := queuePool.Get().(*queue)
	corpse.key, corpse.link = q.key, q.link
	corpse.assembly, q.assembly = q.assembly, assembly{}
	corpse.handler, q.handler = q.handler, nil
	corpse.linkHeader, q.linkHeader = q.linkHeader, corpse.linkHeader
	q.assembly.discarded = true
	s.chargeLocked(q)
	return corpse
}

// deliver turns a complete queue, which is out of its table and zone, into the
// datagram in packet.
func (e *Engine) deliver(z *zone, q *queue, packet *buffer.Buffer, meta *Metadata, datagram *Datagram) {
	if datagram != nil {
		q.describe(datagram, meta)
		e.stamp(&datagram.Metadata)
	}
	*packet = q.assembly.join()
	e.count(z, Reassembled, int(q.assembly.cover.count))
	e.counters.datagrams.Add(1)
	z.datagrams.Add(1)
	q.recycle()
}
