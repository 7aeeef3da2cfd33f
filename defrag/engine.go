package defrag

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// An Engine reassembles IPv6 datagrams. Make one with [New]. All methods may
// be called from many goroutines at once.
//
// Locks, the outer first: Engine.evicting, zone.evicting, zones.mu, shard.mu,
// zone.mu. No two shards are locked at once, and nothing outside the package is
// called under a lock.
type Engine struct {
	clock    tcpip.Clock
	total    int64
	seed     maphash.Seed
	zones    zones
	counters counters
	bytes    atomic.Int64 // truesize of all zones
	closed   atomic.Bool
	shards   [shardCount]shard

	// evicting is held by the one goroutine that evicts for the total.
	evicting sync.Mutex
}

// New returns an engine. The error names the field of cfg at fault.
func New(cfg Config) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("defrag configuration: %w", err)
	}
	e := &Engine{
		clock: cfg.Clock,
		total: int64(cfg.Total),
		seed:  maphash.MakeSeed(),
		zones: zones{defaults: cfg.Zone, limit: cfg.MaxZones, known: make(map[Zone]*zone)},
	}
	for i := range e.shards {
		e.shards[i].engine = e
	}
	return e, nil
}

// ErrTooManyZones is returned for a zone beyond [Config.MaxZones].
var ErrTooManyZones = errors.New("too many zones")

// SetZone declares a zone, or changes its configuration while packets flow.
// The error names the field of cfg at fault; then nothing changes. A new low
// or high threshold acts at once, a new timeout on new datagrams.
func (e *Engine) SetZone(id Zone, cfg ZoneConfig) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return fmt.Errorf("zone %d: %w", id, err)
	}
	z := e.zones.declare(id, cfg)
	if z == nil {
		return fmt.Errorf("zone %d: %w: the limit is %d", id, ErrTooManyZones, e.zones.limit)
	}
	e.enforce(z)
	return nil
}

// RemoveZone drops all that a zone holds, without ICMPv6 errors, and forgets
// its configuration and counters; it appears anew on next use.
func (e *Engine) RemoveZone(id Zone) {
	z := e.zones.remove(id)
	if z == nil {
		return
	}
	var flushed queueList
	for _, c := range z.candidates(nil) {
		e.take(&c, &flushed)
	}
	e.buryAll(&flushed, Flushed)
}

// FlushLink drops every queue whose first fragment to arrive came from link,
// without ICMPv6 errors.
func (e *Engine) FlushLink(link uint32) {
	for i := range e.shards {
		e.shards[i].flush(func(q *queue) bool { return q.link == link })
	}
}

// ZoneStats returns a snapshot of one zone; ok reports whether it is known.
func (e *Engine) ZoneStats(id Zone) (stats ZoneStats, ok bool) {
	z := e.zones.find(id)
	if z == nil {
		return ZoneStats{}, false
	}
	return z.stats(), true
}

// Stats returns a snapshot of the engine and of all its zones. While packets
// flow its figures may be a few packets apart.
func (e *Engine) Stats() Stats {
	s := Stats{Total: e.counters.snapshot()}
	for _, z := range e.zones.all() {
		one := z.stats()
		s.Total.Queues += one.Queues
		s.Total.Fragments += one.Fragments
		s.Total.Bytes += one.Bytes
		s.Zones = append(s.Zones, one)
	}
	return s
}

// Close drops all that is held, without ICMPv6 errors, and waits for timers
// that run; a [Handler] must not call it. Afterwards Gather drops fragments as
// [EngineClosed]. Close may be called more than once.
func (e *Engine) Close() {
	e.closed.Store(true)
	for i := range e.shards {
		e.shards[i].close()
	}
}

// count counts n packets that met their final verdict. z may be nil.
func (e *Engine) count(z *zone, v Verdict, n int) {
	e.counters.add(v, n)
	if z != nil {
		z.add(v, n)
	}
}

// drop cuts the padding from a packet that was never held, counts it, and tells
// its handler.
func (e *Engine) drop(z *zone, packet *buffer.Buffer, meta *Metadata, v Verdict, owed ICMPError) Verdict {
	e.count(z, v, 1)
	packet.Truncate(unpaddedSize(packet))
	if meta.Handler != nil {
		meta.Handler.HandleDrop(&Drop{Verdict: v, Error: owed, Metadata: *meta, Packet: packet})
	}
	return v
}

// bury counts all that q held, tells its handler, and recycles q, which must be
// out of its table and zone.
func (e *Engine) bury(z *zone, q *queue, v Verdict) {
	a := &q.assembly
	e.count(z, v, int(a.cover.count))
	if q.handler != nil && a.cover.count > 0 {
		d := Drop{Verdict: v, Metadata: q.metadata()}
		held := a.list.all()
		for i := range held {
			tell(q, &d, &held[i])
		}
		flat := int(a.cover.count) - len(held)
		for i := range flat {
			var gone buffer.Buffer
			d.Packet, d.Error, d.Metadata.Tag = &gone, ICMPError{}, 0
			if a.tags != nil && i < len(*a.tags) {
				d.Metadata.Tag = (*a.tags)[i]
			}
			q.handler.HandleDrop(&d)
		}
	}
	q.recycle()
}

// buryAll buries every queue of the list.
func (e *Engine) buryAll(list *queueList, v Verdict) {
	for q := list.pop(); q != nil; q = list.pop() {
		e.bury(q.key.zone, q, v)
	}
}

// tell tells q's handler of one fragment. d is filled in for the queue.
func tell(q *queue, d *Drop, f *fragment) {
	var gone buffer.Buffer
	d.Packet, d.Error, d.Metadata.Tag = &f.packet, ICMPError{}, f.tag
	switch {
	case f.loose():
		d.Packet = &gone
	case f.start == 0 && d.Verdict == TimedOut:
		// RFC 8200 section 4.5, RFC 4443 section 3.3.
		d.Error = ICMPError{Type: timeExceeded, Code: reassemblyTimeExceeded}
	}
	q.handler.HandleDrop(d)
}
