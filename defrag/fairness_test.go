package defrag_test

import (
	"runtime"
	"testing"

	"github.com/v6stack/v6stack/defrag"
)

// A flood is a host that sends first fragments of ever new datagrams.
type flood struct {
	host   host
	zone   defrag.Zone
	length int // of each fragment
	chunk  int // capacity
	sent   uint32
	each   int // truesize of a fragment, once sent
}

// send sends until the zone was charged octets of truesize, by the count of
// one fragment's.
func (f *flood) send(c *crowd, octets int) {
	c.Helper()
	for ; octets > 0; octets -= f.each {
		f.sent++
		if v := c.send(f.host, f.zone, segment{f.sent, 0, f.length, true}, f.chunk); v != defrag.Held {
			c.Fatalf("fragment %d of the flood: %v", f.sent, v)
		}
		if f.each == 0 {
			s, _ := c.engine.ZoneStats(f.zone)
			f.each = max(int(s.Bytes/max(s.Queues, 1)), 1)
		}
	}
}

// TestFlood: one source floods incomplete datagrams, three times the budget
// between any two fragments of a good datagram; 64 others send good ones. No
// good one is lost, whoever shares the flooder's /64.
func TestFlood(t *testing.T) {
	const good, fragments, length = 64, 3, 1232
	floods := map[string]flood{
		"full fragments": {length: 1448, chunk: 2048},
		"tiny fragments": {length: 8, chunk: 2048},
	}
	neighbours := map[string]func(i int) host{
		"own /64s":      func(i int) host { return host{uint32(i + 1), 1} },
		"one /64":       func(i int) host { return host{1, uint32(i + 1)} },
		"flooder's /64": func(i int) host { return host{0, uint32(i + 1)} },
	}
	for name, f := range floods {
		for where, at := range neighbours {
			t.Run(name+", good ones in "+where, func(t *testing.T) {
				c := newCrowd(t, defrag.Config{Zone: defrag.ZoneConfig{High: 1 << 20}})
				f := f
				f.send(c, 2<<20)
				arrived := 0
				for n := range fragments {
					for i := range good {
						p := segments(7, fragments*length-20, length)[n]
						if c.send(at(i), 0, p, 2048) == defrag.Reassembled {
							arrived++
						}
						f.send(c, 3*(1<<20)/good)
					}
				}
				if arrived != good {
					t.Errorf("%d of %d good datagrams arrived", arrived, good)
				}
				if c.lost(defrag.Evicted) == 0 {
					t.Error("the flood never met the budget")
				}
			})
		}
	}
}

// TestFloodedZone: zones that are flooded beyond their budgets cost no other
// zone a datagram, nor does flooding beyond the engine's total.
func TestFloodedZone(t *testing.T) {
	const good, length = 8, 1232
	for name, cfg := range map[string]defrag.Config{
		"high":  {Zone: defrag.ZoneConfig{High: 1 << 20}},
		"total": {Zone: defrag.ZoneConfig{High: 1 << 20}, Total: 2 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t, cfg)
			floods := []flood{
				{zone: 101, length: 1448, chunk: 2048},
				{zone: 102, length: 1448, chunk: 2048},
				{zone: 103, length: 8, chunk: 64},
			}
			arrived := 0
			for n := range 4 {
				for i := range good {
					zone := defrag.Zone(i)
					p := segments(7, 4*length-20, length)[n]
					if c.send(host{0, 0}, zone, p, 2048) == defrag.Reassembled {
						arrived++
					}
					for j := range floods {
						floods[j].send(c, 1<<17)
					}
				}
			}
			for i := range good {
				if lost := c.lostIn(defrag.Zone(i)); lost != 0 {
					t.Errorf("zone %d lost %d packets", i, lost)
				}
			}
			if arrived != good {
				t.Errorf("%d of %d datagrams arrived in other zones", arrived, good)
			}
			verdict := defrag.Evicted
			if cfg.Total != 0 {
				verdict = defrag.EvictedTotal
			}
			if c.lost(verdict) == 0 {
				t.Errorf("no packet was %v", verdict)
			}
		})
	}
}

// TestZonesBelowTheirShare: of zones that fill the total, those furthest above
// an equal share yield, and the others keep what they hold.
func TestZonesBelowTheirShare(t *testing.T) {
	const total = 1 << 20
	c := newCrowd(t, defrag.Config{Total: total, Zone: defrag.ZoneConfig{High: total}})
	small := uint64(0)
	for i := range 8 {
		f := flood{zone: defrag.Zone(i), length: 1448, chunk: 2048}
		f.send(c, total/32)
		small += c.zoneBytes(f.zone)
	}
	large := flood{zone: 100, length: 1448, chunk: 2048}
	for range 8 {
		large.send(c, total/2)
		if sum := c.engine.Stats().Total.Bytes; sum > total {
			t.Fatalf("%d octets held, the total is %d", sum, total)
		}
	}
	kept := uint64(0)
	for i := range 8 {
		kept += c.zoneBytes(defrag.Zone(i))
	}
	if kept != small {
		t.Errorf("zones below their share hold %d octets, %d before the flood", kept, small)
	}
	if c.lost(defrag.EvictedTotal) == 0 || c.lost(defrag.Evicted) != 0 {
		t.Errorf("%d packets evicted for the total, %d for the zone", c.lost(defrag.EvictedTotal), c.lost(defrag.Evicted))
	}
	// The large zone may still take what nobody else needs.
	if held := c.zoneBytes(100); held < total*3/4-small {
		t.Errorf("the large zone holds %d octets, the others %d of %d", held, kept, total)
	}
}

// TestZonesComeAndGo: 100,000 zones come and go and nothing is left of them.
func TestZonesComeAndGo(t *testing.T) {
	const zones = 100_000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	t.Run("removed", func(t *testing.T) {
		c := newCrowd(t, defrag.Config{})
		before := heap()
		for i := range zones {
			c.send(host{}, defrag.Zone(i), segment{1, 0, 8, true}, 0)
			c.engine.RemoveZone(defrag.Zone(i))
		}
		if left := len(c.engine.Stats().Zones); left != 0 {
			t.Errorf("%d zones are left", left)
		}
		clear(c.perZone)
		c.perZone = map[defrag.Zone]uint64{}
		// A megabyte is ten octets a zone.
		if after := heap(); after > before+1<<20 {
			t.Errorf("the heap grew from %d to %d octets", before, after)
		}
		if lost := c.lost(defrag.Flushed); lost != zones {
			t.Errorf("%d packets were flushed, want %d", lost, zones)
		}
	})
	t.Run("forgotten", func(t *testing.T) {
		const limit = 1000
		c := newCrowd(t, defrag.Config{MaxZones: limit})
		for i := range zones / 5 {
			for _, p := range segments(1, 16, 8) {
				if v := c.send(host{}, defrag.Zone(i), p, 0); v.IsDrop() {
					t.Fatalf("zone %d: %v", i, v)
				}
			}
		}
		s := c.engine.Stats()
		if len(s.Zones) > limit || s.Total.Datagrams != zones/5 {
			t.Errorf("%d zones are known, %d datagrams came", len(s.Zones), s.Total.Datagrams)
		}
	})
}

// TestTooManyZones: a zone beyond the limit is refused and costs the others
// nothing.
func TestTooManyZonesInUse(t *testing.T) {
	const limit = 10
	c := newCrowd(t, defrag.Config{MaxZones: limit})
	for i := range limit {
		c.send(host{}, defrag.Zone(i), segments(1, 16, 8)[0], 0)
	}
	for i := range 1000 {
		if v := c.send(host{}, defrag.Zone(limit+i), segments(1, 16, 8)[0], 0); v != defrag.TooManyZones {
			t.Fatalf("zone %d: %v", limit+i, v)
		}
	}
	for i := range limit {
		if v := c.send(host{}, defrag.Zone(i), segments(1, 16, 8)[1], 0); v != defrag.Reassembled {
			t.Errorf("zone %d: %v", i, v)
		}
	}
	if v := c.send(host{}, 5000, segments(1, 16, 8)[0], 0); v != defrag.Held {
		t.Errorf("with all others idle: %v", v)
	}
}

// TestEvictionCost: each eviction frees a sixteenth of the budget at least, so
// that looking at all queues of the zone costs little for each fragment that
// came.
func TestEvictionCost(t *testing.T) {
	const high, came = 1 << 18, 2000
	for name, f := range map[string]flood{
		"full fragments":     {length: 1448, chunk: 2048},
		"tiny fragments":     {length: 8, chunk: 64},
		"large after tiny":   {length: 8192, chunk: 16384},
		"a /64 of addresses": {length: 8, chunk: 64},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t, defrag.Config{Zone: defrag.ZoneConfig{High: high, Low: high}})
			c.send(f.host, 0, segment{f.sent, 0, f.length, true}, f.chunk)
			each := c.zoneBytes(0)
			if name == "large after tiny" {
				for i := range uint32(200) {
					c.send(host{i + 1, 0}, 0, segment{0, 0, 8, true}, 64)
				}
			}
			evictions, lost := uint64(0), uint64(0)
			for range came {
				if name == "a /64 of addresses" {
					f.host.address++
				}
				f.sent++
				if v := c.send(f.host, 0, segment{f.sent, 0, f.length, true}, f.chunk); v != defrag.Held {
					t.Fatal(v)
				}
				if now := c.lost(defrag.Evicted); now > lost {
					evictions++
					lost = now
				}
			}
			t.Logf("%d evictions for %d fragments of %d octets", evictions, came, each)
			if most := came*each/(high/16) + 1; evictions == 0 || evictions > most {
				t.Errorf("%d evictions for %d fragments of %d octets, want 1 to %d", evictions, came, each, most)
			}
		})
	}
}
