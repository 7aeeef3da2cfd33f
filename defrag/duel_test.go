package defrag_test

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"github.com/v6stack/v6stack/defrag"
)

// A duel feeds an engine and a naive the same operations and compares all that
// can be seen after each.
type duel struct {
	testing.TB
	engine *defrag.Engine
	naive  *naive
	clock  *faketime.ManualClock
	total  uint64 // budget of the engine
	tag    uint64 // of the packet last gathered

	mu    sync.Mutex
	told  []naiveLoss // since the last operation; guarded by mu
	metas []defrag.Metadata
}

// newDuel returns a duel of that configuration, whose zero fields but the clock
// are the caller's to fill in.
func newDuel(t testing.TB, cfg defrag.Config) *duel {
	d := &duel{TB: t, clock: faketime.NewManualClock(), total: cfg.Total}
	cfg.Clock = d.clock
	d.clock.Advance(time.Hour) // Arrival 0 stands for now.
	e, err := defrag.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.engine = e
	d.naive = &naive{defaults: cfg.Zone, maxZones: cfg.MaxZones, zones: map[defrag.Zone]*naiveZone{}}
	return d
}

// HandleDrop implements defrag.Handler.
func (d *duel) HandleDrop(drop *defrag.Drop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, naiveLoss{
		tag:     drop.Metadata.Tag,
		verdict: drop.Verdict,
		owed:    drop.Error,
		packet:  string(drop.Packet.Flatten()),
	})
	d.metas = append(d.metas, drop.Metadata)
}

// gather feeds one packet to both.
func (d *duel) gather(packet *buffer.Buffer, meta defrag.Metadata) {
	d.Helper()
	d.tag++
	meta.Tag, meta.Handler = d.tag, d
	octets := packet.Flatten()
	before := d.engine.Stats()
	cost := d.cost(packet)
	want := d.naive.gather(octets, meta)
	var datagram defrag.Datagram
	v := d.engine.Gather(packet, &meta, &datagram)
	if v != want.verdict {
		d.Fatalf("packet %d: verdict %v, want %v\n%.99x", d.tag, v, want.verdict, octets)
	}
	if got := string(packet.Flatten()); got != want.packet {
		d.Fatalf("packet %d, %v: left as\n%.99x\nwant\n%.99x", d.tag, v, got, want.packet)
	}
	if want.datagram != nil {
		want.datagram.Metadata.Arrival = d.clock.NowMonotonic()
		d.compareDatagram(&datagram, want.datagram)
	}
	packet.Release()
	if v != defrag.Held {
		cost = -1 // Nothing may be evicted.
	}
	d.settle(&before, cost, want.losses)
}

// cost returns an upper bound of what the budgets are charged for packet.
func (d *duel) cost(packet *buffer.Buffer) int {
	cost := 8192
	packet.Apply(func(v *buffer.View) { cost += v.Capacity() + 128 })
	for _, q := range d.naive.queues {
		cost = max(cost, cost+1024*len(q.pieces))
	}
	return cost
}

// compareDatagram compares what travels with a datagram.
func (d *duel) compareDatagram(got, want *defrag.Datagram) {
	d.Helper()
	if got.Metadata != want.Metadata {
		d.Fatalf("packet %d: datagram has metadata\n%+v\nwant\n%+v", d.tag, got.Metadata, want.Metadata)
	}
	same := got.Identification == want.Identification && got.FragmentHeader == want.FragmentHeader &&
		got.UnfragmentableLength == want.UnfragmentableLength && got.LargestPacket == want.LargestPacket
	if !same || !slices.Equal(got.Boundaries, want.Boundaries) {
		d.Fatalf("packet %d: datagram is described as\n%+v\nwant\n%+v", d.tag, *got, *want)
	}
}

// settle compares what was lost with what had to be, tells the naive what was
// evicted, and compares gauges and counters. before is the state before the
// operation, which may have charged a budget with cost more octets; nothing may
// be evicted where it is negative.
func (d *duel) settle(before *defrag.Stats, cost int, want []naiveLoss) {
	d.Helper()
	d.mu.Lock()
	told, metas := d.told, d.metas
	d.told, d.metas = nil, nil
	d.mu.Unlock()
	var lost []naiveLoss
	evicted := map[*naiveQueue]int{}
	for i, l := range told {
		if l.verdict != defrag.Evicted && l.verdict != defrag.EvictedTotal {
			lost = append(lost, l)
			continue
		}
		q := d.naive.holder(l.tag)
		if q == nil {
			d.Fatalf("packet %d evicted, which is not held", l.tag)
		}
		evicted[q]++
		if metas[i].Zone != q.key.zone || l.owed != (defrag.ICMPError{}) {
			d.Fatalf("packet %d evicted with %+v, owed %v", l.tag, metas[i], l.owed)
		}
		d.mayEvict(before, cost, q.key.zone, l.verdict)
		if evicted[q] == len(q.pieces) {
			d.naive.bury(q, l.verdict)
			delete(evicted, q)
		}
	}
	for q := range evicted {
		d.Fatalf("only a part of datagram %d evicted", q.key.id)
	}
	d.compareLosses(lost, want)
	d.compareStats()
}

// mayEvict checks that a budget was exceeded.
func (d *duel) mayEvict(before *defrag.Stats, cost int, zone defrag.Zone, v defrag.Verdict) {
	d.Helper()
	bytes, limit := before.Total.Bytes, d.total
	if v == defrag.Evicted {
		limit = d.naive.zones[zone].config.High
		i := slices.IndexFunc(before.Zones, func(z defrag.ZoneStats) bool { return z.Zone == zone })
		bytes = 0
		if i >= 0 {
			bytes = before.Zones[i].Bytes
		}
	}
	if cost < 0 || bytes+uint64(cost) <= limit {
		d.Fatalf("%v in zone %d: %d octets were held, %d came, the limit is %d", v, zone, bytes, cost, limit)
	}
}

// compareLosses compares the packets told with those that had to be.
func (d *duel) compareLosses(got, want []naiveLoss) {
	d.Helper()
	byTag := func(a, b naiveLoss) int { return cmp.Compare(a.tag, b.tag) }
	slices.SortFunc(got, byTag)
	slices.SortFunc(want, byTag)
	if len(got) != len(want) {
		d.Fatalf("%d packets lost, want %d\n%+v\n%+v", len(got), len(want), got, want)
	}
	for i, w := range want {
		g := got[i]
		gone := g.packet == "" && !w.stays
		if g.tag != w.tag || g.verdict != w.verdict || g.owed != w.owed || g.packet != w.packet && !gone {
			d.Fatalf("lost is packet %d: %v, owed %v\n%.99x\nwant packet %d: %v, owed %v\n%.99x",
				g.tag, g.verdict, g.owed, g.packet, w.tag, w.verdict, w.owed, w.packet)
		}
	}
}

// compareStats compares counters and gauges, and audits the budgets.
func (d *duel) compareStats() {
	d.Helper()
	if err := d.engine.Audit(); err != nil {
		d.Fatalf("after packet %d: %v", d.tag, err)
	}
	s := d.engine.Stats()
	if s.Total.Packets != d.naive.counts.Packets || s.Total.Datagrams != d.naive.counts.Datagrams {
		d.Fatalf("after packet %d: counts are\n%+v\nwant\n%+v", d.tag, s.Total, d.naive.counts)
	}
	if s.Total.Bytes > d.total {
		d.Fatalf("after packet %d: %d octets held, the total is %d", d.tag, s.Total.Bytes, d.total)
	}
	if len(s.Zones) != len(d.naive.zones) {
		d.Fatalf("after packet %d: %d zones, want %d", d.tag, len(s.Zones), len(d.naive.zones))
	}
	sum := defrag.Counts{}
	for i := range s.Zones {
		z := &s.Zones[i]
		d.compareZone(z)
		sum.Queues += z.Queues
		sum.Fragments += z.Fragments
		sum.Bytes += z.Bytes
	}
	if t := s.Total; t.Queues != sum.Queues || t.Fragments != sum.Fragments || t.Bytes != sum.Bytes {
		d.Fatalf("after packet %d: gauges of all zones are %+v, sum %+v", d.tag, t, sum)
	}
}

// compareZone compares what is seen of one zone.
func (d *duel) compareZone(z *defrag.ZoneStats) {
	d.Helper()
	want := d.naive.zones[z.Zone]
	if want == nil {
		d.Fatalf("after packet %d: zone %d is known", d.tag, z.Zone)
	}
	queues, fragments, payload := 0, 0, 0
	for _, q := range d.naive.queues {
		if q.key.zone != z.Zone {
			continue
		}
		queues++
		fragments += len(q.pieces)
		for _, p := range q.pieces {
			payload += len(p.data)
		}
	}
	z.Packets[defrag.Passed] = 0
	if z.Packets != want.counts.Packets || z.Datagrams != want.counts.Datagrams || z.Config != want.config {
		d.Fatalf("after packet %d: zone %d is\n%+v\nwant\n%+v", d.tag, z.Zone, *z, *want)
	}
	if int(z.Queues) != queues || int(z.Fragments) != fragments {
		d.Fatalf("after packet %d: zone %d holds %d queues, %d fragments, want %d, %d", d.tag, z.Zone, z.Queues, z.Fragments, queues, fragments)
	}
	if z.Bytes > want.config.High || int(z.Bytes) < payload+100*queues || queues == 0 && z.Bytes != 0 {
		d.Fatalf("after packet %d: zone %d holds %d octets of truesize for %d of payload; high is %d", d.tag, z.Zone, z.Bytes, payload, want.config.High)
	}
}

// advance lets time pass for both.
func (d *duel) advance(by time.Duration) {
	d.Helper()
	before := d.engine.Stats()
	want := d.naive.advance(by)
	d.clock.Advance(by)
	d.settle(&before, -1, want)
}

// setZone configures a zone of both.
func (d *duel) setZone(id defrag.Zone, config defrag.ZoneConfig) {
	d.Helper()
	before := d.engine.Stats()
	err := d.engine.SetZone(id, config)
	if ok := d.naive.setZone(id, config); ok != (err == nil) {
		d.Fatalf("SetZone(%d): %v", id, err)
	}
	d.settle(&before, 0, nil)
}

// removeZone removes a zone of both.
func (d *duel) removeZone(id defrag.Zone) {
	d.Helper()
	before := d.engine.Stats()
	d.engine.RemoveZone(id)
	d.settle(&before, -1, d.naive.removeZone(id))
}

// flushLink flushes a link of both.
func (d *duel) flushLink(link uint32) {
	d.Helper()
	before := d.engine.Stats()
	d.engine.FlushLink(link)
	d.settle(&before, -1, d.naive.flushLink(link))
}

// close closes both.
func (d *duel) close() {
	d.Helper()
	before := d.engine.Stats()
	d.engine.Close()
	d.settle(&before, -1, d.naive.close())
}

// closeAmid closes the engine while others gather packets, and draws the
// balance.
func (d *duel) closeAmid(packets []buffer.Buffer, metas []defrag.Metadata) {
	d.Helper()
	before := d.engine.Stats().Total
	kept := make([]defrag.Verdict, len(packets))
	var gathering sync.WaitGroup
	for i := range packets {
		d.tag++
		metas[i].Tag, metas[i].Handler = d.tag, d
		gathering.Go(func() {
			kept[i] = d.engine.Gather(&packets[i], &metas[i], nil)
			packets[i].Release()
		})
	}
	d.engine.Close()
	gathering.Wait()
	if err := d.engine.Audit(); err != nil {
		d.Fatal(err)
	}
	after := d.engine.Stats().Total
	if after.Queues != 0 || after.Fragments != 0 || after.Bytes != 0 {
		d.Fatalf("after Close %+v is held", after)
	}
	sum, drops := before.Fragments+uint64(len(packets)), uint64(0)
	for v := range defrag.NumVerdicts {
		n := after.Packets[v] - before.Packets[v]
		sum -= n
		if v.IsDrop() {
			drops += n
		}
	}
	tags := map[uint64]bool{}
	for _, l := range d.told {
		tags[l.tag] = true
	}
	if sum != 0 || drops != uint64(len(d.told)) || len(tags) != len(d.told) {
		d.Fatalf("%d packets not counted, %d dropped, %d told, %d of them once", sum, drops, len(d.told), len(tags))
	}
	for i, v := range kept {
		if v.IsDrop() && !tags[metas[i].Tag] {
			d.Fatalf("packet %d: %v, not told", metas[i].Tag, v)
		}
	}
}

// chop returns octets as a buffer of several views, of piece octets each, in
// chunks of at least capacity; piece 0 is one view. Where that takes too much
// memory to be quick, the chunks are small.
func chop(octets []byte, piece, capacity int) buffer.Buffer {
	if piece == 0 {
		piece = len(octets)
	}
	if piece > 0 && len(octets)/piece*capacity > 1<<17 {
		capacity = 0
	}
	var b buffer.Buffer
	for at := 0; at < len(octets); at += piece {
		part := octets[at:min(at+piece, len(octets))]
		v := buffer.NewView(max(capacity, len(part)))
		v.Write(part)
		one := buffer.MakeWithView(v)
		b.Merge(&one)
	}
	return b
}
