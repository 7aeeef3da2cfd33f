package defrag_test

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/v6stack/v6stack/defrag"
)

// A naive is the engine once more, as slow and as plain as can be: a list of
// datagrams, each a list of pieces, looked at octet by octet. It shares no code
// with the engine. Its only blind spot is memory: it is told what was evicted.
type naive struct {
	now      time.Duration
	defaults defrag.ZoneConfig
	maxZones int
	zones    map[defrag.Zone]*naiveZone
	queues   []*naiveQueue
	closed   bool
	counts   defrag.Counts
}

// A naiveZone is what a naive knows of a zone.
type naiveZone struct {
	config   defrag.ZoneConfig
	declared bool
	counts   defrag.Counts
}

// A naiveKey tells datagrams apart (RFC 8200 section 4.5).
type naiveKey struct {
	source, destination string
	id                  uint32
	zone                defrag.Zone
	link                uint32
}

// A naiveQueue is an incomplete datagram.
type naiveQueue struct {
	key    naiveKey
	link   uint32 // of the first to arrive
	dies   time.Duration
	pieces []naivePiece
	// discarded queues refuse what comes (policy RFC5722).
	discarded bool
}

// A naivePiece is one fragment held.
type naivePiece struct {
	naivePacket
	meta defrag.Metadata
}

// A naiveLoss is a packet that was dropped.
type naiveLoss struct {
	tag     uint64
	verdict defrag.Verdict
	owed    defrag.ICMPError
	packet  string // as received, without padding
	stays   bool   // the packet must be told whole, not as a tag only
}

// A naiveAnswer is what a naive expects of one call of Gather.
type naiveAnswer struct {
	verdict  defrag.Verdict
	packet   string // afterwards
	losses   []naiveLoss
	datagram *defrag.Datagram // of verdicts Reassembled and Atomic
}

// zoneOf returns what is known of a zone, making room by forgetting idle ones;
// nil if there is none.
func (n *naive) zoneOf(id defrag.Zone) *naiveZone {
	if z := n.zones[id]; z != nil {
		return z
	}
	if len(n.zones) >= n.maxZones {
		for other, z := range n.zones {
			idle := !slices.ContainsFunc(n.queues, func(q *naiveQueue) bool { return q.key.zone == other })
			if idle && !z.declared {
				delete(n.zones, other)
			}
		}
	}
	if len(n.zones) >= n.maxZones {
		return nil
	}
	z := &naiveZone{config: n.defaults}
	n.zones[id] = z
	return z
}

// count counts packets; zones do not count what passed.
func (n *naive) count(id defrag.Zone, v defrag.Verdict, packets int) {
	n.counts.Packets[v] += uint64(packets)
	if z := n.zones[id]; z != nil && v != defrag.Passed {
		z.counts.Packets[v] += uint64(packets)
	}
}

// gather is Engine.Gather.
func (n *naive) gather(octets []byte, meta defrag.Metadata) naiveAnswer {
	config := n.defaults
	if z := n.zones[meta.Zone]; z != nil {
		config = z.config
	}
	p, v, owed := naiveInspect(octets, config.Policy)
	if v == defrag.Passed {
		n.count(meta.Zone, v, 1)
		return naiveAnswer{verdict: v, packet: string(octets)}
	}
	if n.zoneOf(meta.Zone) == nil {
		v, owed = defrag.TooManyZones, defrag.ICMPError{}
	} else if v == defrag.Held && n.closed {
		v = defrag.EngineClosed
	}
	if v != defrag.Held {
		return n.drop(p, meta, v, owed)
	}
	if config.Policy != defrag.Linux && p.start == 0 && !p.more {
		n.count(meta.Zone, defrag.Atomic, 1)
		return naiveAnswer{verdict: defrag.Atomic, packet: naiveAssemble([]naivePiece{{p, meta}}), datagram: naiveDescribe(nil, naivePiece{p, meta})}
	}
	return n.collect(naivePiece{p, meta}, config)
}

// drop is the answer that refuses a packet.
func (n *naive) drop(p naivePacket, meta defrag.Metadata, v defrag.Verdict, owed defrag.ICMPError) naiveAnswer {
	n.count(meta.Zone, v, 1)
	whole := string(p.octets)
	return naiveAnswer{verdict: v, packet: whole, losses: []naiveLoss{{tag: meta.Tag, verdict: v, owed: owed, packet: whole, stays: true}}}
}

// collect puts a sound fragment to its datagram.
func (n *naive) collect(p naivePiece, config defrag.ZoneConfig) naiveAnswer {
	k := p.key()
	q := &naiveQueue{key: k, link: p.meta.Link, dies: n.now + config.Timeout}
	at := slices.IndexFunc(n.queues, func(q *naiveQueue) bool { return q.key == k })
	if at >= 0 {
		q = n.queues[at]
	}
	if q.discarded {
		return n.drop(p.naivePacket, p.meta, defrag.AfterDiscard, defrag.ICMPError{})
	}
	v := q.judge(p, config.Policy)
	grown := append(slices.Clone(q.pieces), p)
	complete := v == defrag.Held && naiveComplete(grown)
	switch {
	case v == defrag.Held && config.MaxFragments > 0 && len(grown) > config.MaxFragments:
		v = defrag.TooManyFragments
	case complete && naiveTooLong(grown):
		v = defrag.DatagramTooLong
	case complete:
		if _, ok := naiveECN(grown); !ok {
			v = defrag.ECNMismatch
		}
	case v == defrag.Held && at < 0 && config.MaxDatagrams > 0 && n.held(k.zone) >= config.MaxDatagrams:
		v = defrag.TooManyDatagrams
	}
	switch {
	case v == defrag.Held && complete:
		n.remove(q)
		n.count(k.zone, defrag.Reassembled, len(grown))
		n.counts.Datagrams++
		n.zones[k.zone].counts.Datagrams++
		return naiveAnswer{verdict: defrag.Reassembled, packet: naiveAssemble(grown), datagram: naiveDescribe(q, grown...)}
	case v == defrag.Held:
		q.pieces = grown
		if at < 0 {
			n.queues = append(n.queues, q)
		}
		return naiveAnswer{verdict: v}
	case v >= defrag.DatagramTooLong: // The whole datagram goes.
		losses := n.bury(q, v)
		forget := v == defrag.ECNMismatch || v == defrag.TooManyFragments
		if config.Policy == defrag.RFC5722 && !forget && at >= 0 {
			q.pieces, q.discarded = nil, true
			n.queues = append(n.queues, q)
		}
		return n.refuse(p, v, losses)
	}
	return n.refuse(p, v, nil)
}

// refuse is the answer to a fragment that may not join; policy Linux passes
// unaligned ones on.
func (n *naive) refuse(p naivePiece, v defrag.Verdict, losses []naiveLoss) naiveAnswer {
	var a naiveAnswer
	if v == defrag.UnalignedDiscard {
		n.count(p.meta.Zone, defrag.Passed, 1)
		a = naiveAnswer{verdict: defrag.Passed, packet: p.received}
	} else {
		a = n.drop(p.naivePacket, p.meta, v, defrag.ICMPError{})
	}
	a.losses = append(a.losses, losses...)
	return a
}

// held returns how many queues a zone has.
func (n *naive) held(zone defrag.Zone) (count int) {
	for _, q := range n.queues {
		if q.key.zone == zone {
			count++
		}
	}
	return count
}

// remove forgets a queue.
func (n *naive) remove(q *naiveQueue) {
	n.queues = slices.DeleteFunc(n.queues, func(other *naiveQueue) bool { return other == q })
}

// bury drops a queue and returns what is lost with it.
func (n *naive) bury(q *naiveQueue, v defrag.Verdict) (losses []naiveLoss) {
	n.remove(q)
	n.count(q.key.zone, v, len(q.pieces))
	for _, p := range q.pieces {
		l := naiveLoss{tag: p.meta.Tag, verdict: v, packet: string(p.octets), stays: p.start == 0}
		if v == defrag.TimedOut && p.start == 0 {
			l.owed = defrag.ICMPError{Type: 3, Code: 1}
		}
		losses = append(losses, l)
	}
	return losses
}

// buryAll drops each queue that matches.
func (n *naive) buryAll(v defrag.Verdict, match func(q *naiveQueue) bool) (losses []naiveLoss) {
	for _, q := range slices.Clone(n.queues) {
		if match(q) {
			losses = append(losses, n.bury(q, v)...)
		}
	}
	return losses
}

// advance lets time pass.
func (n *naive) advance(d time.Duration) []naiveLoss {
	n.now += d
	return n.buryAll(defrag.TimedOut, func(q *naiveQueue) bool { return q.dies <= n.now })
}

// flushLink is Engine.FlushLink.
func (n *naive) flushLink(link uint32) []naiveLoss {
	return n.buryAll(defrag.Flushed, func(q *naiveQueue) bool { return q.link == link })
}

// removeZone is Engine.RemoveZone.
func (n *naive) removeZone(id defrag.Zone) []naiveLoss {
	losses := n.buryAll(defrag.Flushed, func(q *naiveQueue) bool { return q.key.zone == id })
	delete(n.zones, id)
	return losses
}

// setZone is Engine.SetZone with a good configuration; false says that there
// are too many zones.
func (n *naive) setZone(id defrag.Zone, config defrag.ZoneConfig) bool {
	z := n.zoneOf(id)
	if z == nil {
		return false
	}
	z.config, z.declared = config, true
	return true
}

// close is Engine.Close.
func (n *naive) close() []naiveLoss {
	n.closed = true
	return n.buryAll(defrag.Flushed, func(*naiveQueue) bool { return true })
}

// holder returns the queue that holds the packet of that tag, or nil.
func (n *naive) holder(tag uint64) *naiveQueue {
	for _, q := range n.queues {
		if slices.ContainsFunc(q.pieces, func(p naivePiece) bool { return p.meta.Tag == tag }) {
			return q
		}
	}
	return nil
}

// key returns the key of a fragment.
func (p *naivePiece) key() naiveKey {
	k := naiveKey{
		source:      string(p.octets[8:24]),
		destination: string(p.octets[24:40]),
		id:          binary.BigEndian.Uint32(p.header[4:]),
		zone:        p.meta.Zone,
	}
	d := p.octets[24:26]
	if d[0] == 0xff || d[0] == 0xfe && d[1] >= 0x80 && d[1] <= 0xbf {
		k.link = p.meta.Link
	}
	return k
}
