package defrag_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"github.com/v6stack/v6stack/defrag"
)

// A budgetKey names a datagram of a budgets machine.
type budgetKey struct {
	zone defrag.Zone
	host host
	id   uint32
}

// A budgetTag is what a budgets machine remembers of a packet.
type budgetTag struct {
	key   budgetKey
	piece int
}

// budgets is a state machine of one engine under small budgets. It knows which
// fragments are held, by the verdicts and by what the handler is told.
type budgets struct {
	engine *defrag.Engine
	clock  *faketime.ManualClock
	total  uint64
	highs  map[defrag.Zone]uint64

	held map[budgetKey]map[int]bool
	tags map[uint64]budgetTag
	last uint64

	before  defrag.Stats
	acted   map[defrag.Zone]bool // zones that the last action charged or changed
	evicted map[defrag.Zone]map[defrag.Verdict]int
	faults  []string
}

// HandleDrop implements defrag.Handler.
func (b *budgets) HandleDrop(d *defrag.Drop) {
	tag, ok := b.tags[d.Metadata.Tag]
	if !ok {
		b.faults = append(b.faults, fmt.Sprintf("packet %d dropped, %v, which was not held", d.Metadata.Tag, d.Verdict))
		return
	}
	delete(b.tags, d.Metadata.Tag)
	delete(b.held[tag.key], tag.piece)
	if d.Verdict == defrag.Evicted || d.Verdict == defrag.EvictedTotal {
		if b.evicted[tag.key.zone] == nil {
			b.evicted[tag.key.zone] = map[defrag.Verdict]int{}
		}
		b.evicted[tag.key.zone][d.Verdict]++
	}
}

// begin forgets what the last action did.
func (b *budgets) begin(zones ...defrag.Zone) {
	b.before = b.engine.Stats()
	b.evicted = map[defrag.Zone]map[defrag.Verdict]int{}
	b.acted = map[defrag.Zone]bool{}
	for _, z := range zones {
		b.acted[z] = true
	}
}

// budgetDatagram is the shape of each datagram: fragments of that many octets.
var budgetDatagram = []int{1448, 8, 16, 1448, 8, 8, 8, 1448, 20}

// gather sends a fragment that is not held yet.
func (b *budgets) gather(t *rapid.T) {
	k := budgetKey{
		zone: defrag.Zone(rapid.IntRange(0, 3).Draw(t, "zone")),
		host: host{uint32(rapid.IntRange(0, 2).Draw(t, "prefix")), uint32(rapid.IntRange(0, 2).Draw(t, "address"))},
		id:   uint32(rapid.IntRange(0, 4).Draw(t, "id")),
	}
	var missing []int
	for i := range budgetDatagram {
		if !b.held[k][i] {
			missing = append(missing, i)
		}
	}
	i := rapid.SampledFrom(missing).Draw(t, "fragment")
	s := segment{id: k.id, length: budgetDatagram[i], more: i+1 < len(budgetDatagram)}
	for _, length := range budgetDatagram[:i] {
		s.offset += length
	}
	capacity := rapid.SampledFrom([]int{0, 2048, 65536}).Draw(t, "chunk")
	v := buffer.NewView(max(capacity, 48+s.length))
	v.Write(s.packet(k.host, nil))
	packet := buffer.MakeWithView(v)

	b.begin(k.zone)
	b.last++
	b.tags[b.last] = budgetTag{k, i}
	if b.held[k] == nil {
		b.held[k] = map[int]bool{}
	}
	b.held[k][i] = true
	completes := len(missing) == 1
	verdict := b.engine.Gather(&packet, &defrag.Metadata{Zone: k.zone, Tag: b.last, Handler: b}, nil)
	switch {
	case completes && verdict != defrag.Reassembled:
		t.Fatalf("the last fragment of %+v: %v", k, verdict)
	case completes:
		if len(b.evicted) != 0 {
			t.Fatalf("a fragment that completes a datagram evicts %v", b.evicted)
		}
		for tag, at := range b.tags {
			if at.key == k {
				delete(b.tags, tag)
			}
		}
		delete(b.held, k)
	case verdict != defrag.Held:
		t.Fatalf("fragment %d of %+v: %v", i, k, verdict)
	}
	packet.Release()
}

// threshold changes a zone's thresholds.
func (b *budgets) threshold(t *rapid.T) {
	zone := defrag.Zone(rapid.IntRange(0, 3).Draw(t, "zone"))
	high := uint64(rapid.IntRange(500, 60_000).Draw(t, "high"))
	low := uint64(rapid.IntRange(1, int(high)).Draw(t, "low"))
	b.begin(zone)
	if err := b.engine.SetZone(zone, defrag.ZoneConfig{High: high, Low: low}); err != nil {
		t.Fatal(err)
	}
	b.highs[zone] = high
	if err := b.engine.SetZone(zone, defrag.ZoneConfig{High: low, Low: high + 1}); err == nil {
		t.Fatalf("SetZone takes low %d above high %d", high+1, low)
	}
}

// giveUp lets time pass or removes something.
func (b *budgets) giveUp(t *rapid.T) {
	zone := defrag.Zone(rapid.IntRange(0, 3).Draw(t, "zone"))
	b.begin()
	switch rapid.IntRange(0, 5).Draw(t, "how") {
	case 0:
		b.engine.RemoveZone(zone)
		delete(b.highs, zone)
	case 1:
		b.engine.FlushLink(0)
	default:
		b.clock.Advance(time.Duration(rapid.IntRange(1, 30).Draw(t, "seconds")) * time.Second)
	}
}

// check compares what is held with the gauges, and the gauges with the
// budgets.
func (b *budgets) check(t *rapid.T) {
	if len(b.faults) > 0 {
		t.Fatal(b.faults)
	}
	if err := b.engine.Audit(); err != nil {
		t.Fatal(err)
	}
	s := b.engine.Stats()
	if s.Total.Bytes > b.total {
		t.Fatalf("%d octets are held, the total is %d", s.Total.Bytes, b.total)
	}
	if got, want := s.Total.Fragments, uint64(len(b.tags)); got != want {
		t.Fatalf("%d fragments are held, want %d", got, want)
	}
	for _, z := range s.Zones {
		if z.Bytes > z.Config.High {
			t.Fatalf("zone %d holds %d octets, high is %d", z.Zone, z.Bytes, z.Config.High)
		}
		if want, ok := b.highs[z.Zone]; ok && z.Config.High != want {
			t.Fatalf("zone %d has high %d, want %d", z.Zone, z.Config.High, want)
		}
	}
	b.checkEvicted(t)
}

// checkEvicted checks who yielded: for a zone's budget none but the zone that
// was charged or changed, for the total none below its share.
func (b *budgets) checkEvicted(t *rapid.T) {
	held := map[defrag.Zone]uint64{}
	for _, z := range b.before.Zones {
		if z.Bytes > 0 {
			held[z.Zone] = z.Bytes
		}
	}
	for z := range b.acted {
		held[z] += 0
	}
	share := (b.total - b.total/16) / uint64(max(len(held), 1))
	for zone, packets := range b.evicted {
		if packets[defrag.Evicted] > 0 && !b.acted[zone] {
			t.Fatalf("zone %d lost %d packets to another's budget", zone, packets[defrag.Evicted])
		}
		if packets[defrag.EvictedTotal] > 0 && !b.acted[zone] && held[zone] <= share {
			t.Fatalf("zone %d, with %d octets below its share of %d, lost %d packets", zone, held[zone], share, packets[defrag.EvictedTotal])
		}
	}
	b.evicted = nil
}

// TestBudgets: whatever is sent, in whatever order, the budgets hold, the
// gauges are exact, and they return to 0.
func TestBudgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &budgets{
			clock: faketime.NewManualClock(),
			total: uint64(rapid.IntRange(3_000, 80_000).Draw(t, "total")),
			highs: map[defrag.Zone]uint64{},
			held:  map[budgetKey]map[int]bool{},
			tags:  map[uint64]budgetTag{},
		}
		high := uint64(rapid.IntRange(2_000, 60_000).Draw(t, "high"))
		e, err := defrag.New(defrag.Config{Clock: b.clock, Total: b.total, Zone: defrag.ZoneConfig{High: high}})
		if err != nil {
			t.Fatal(err)
		}
		b.engine = e
		b.begin()
		t.Repeat(map[string]func(*rapid.T){
			"":        b.check,
			"gather":  b.gather,
			"gather2": b.gather,
			"gather3": b.gather,
			"gather4": b.gather,
			"set":     b.threshold,
			"give up": b.giveUp,
		})
		b.begin()
		e.Close()
		b.check(t)
		if s := e.Stats().Total; s.Queues != 0 || s.Fragments != 0 || s.Bytes != 0 {
			t.Fatalf("after Close %d queues, %d fragments, %d octets are held", s.Queues, s.Fragments, s.Bytes)
		}
	})
}
