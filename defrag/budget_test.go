package defrag_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/v6stack/v6stack/defrag"
)

// TestCompletingFragmentAtTheLimit: at the very limit of the zone and of the
// engine, a fragment that completes a datagram comes through and evicts
// nobody.
func TestCompletingFragmentAtTheLimit(t *testing.T) {
	c := newCrowd(t, defrag.Config{})
	whole := segments(1, 2*1448, 1448)
	c.send(host{1, 1}, 0, whole[0], 2048)
	c.send(host{2, 2}, 0, segments(2, 2*1448, 1448)[0], 2048)
	held := c.zoneBytes(0)
	if err := c.engine.SetZone(0, defrag.ZoneConfig{High: held, Low: 1}); err != nil {
		t.Fatal(err)
	}
	if v := c.send(host{1, 1}, 0, whole[1], 65536); v != defrag.Reassembled {
		t.Errorf("at the limit: %v", v)
	}
	if c.lost(defrag.Evicted) != 0 {
		t.Errorf("%d packets evicted", c.lost(defrag.Evicted))
	}
}

// TestEvictionStopsAtLow: a zone above high is brought to low, less at most one
// queue, and never below.
func TestEvictionStopsAtLow(t *testing.T) {
	for _, low := range []uint64{1, 10_000, 50_000, 90_000} {
		c := newCrowd(t, defrag.Config{Zone: defrag.ZoneConfig{High: 100_000, Low: low}})
		for i := range uint32(1000) {
			before := c.zoneBytes(0)
			c.send(host{i % 7, i % 5}, 0, segment{i, 0, 1448, true}, 2048)
			after := c.zoneBytes(0)
			if after > before {
				continue
			}
			const queue = 3500 // at most
			if after > low || after+queue < low {
				t.Fatalf("low %d: evicted from %d to %d", low, before, after)
			}
		}
		if c.lost(defrag.Evicted) == 0 {
			t.Errorf("low %d: nothing was evicted", low)
		}
	}
}

// TestVictims: the /64 that holds most loses, and in it the address that does.
func TestVictims(t *testing.T) {
	c := newCrowd(t, defrag.Config{Zone: defrag.ZoneConfig{High: 300_000, Low: 200_000}})
	heavy, light, other := host{1, 1}, host{1, 2}, host{2, 1}
	id := uint32(0)
	fill := func(h host, n int) {
		for range n {
			id++
			c.send(h, 0, segment{id, 0, 1448, true}, 2048)
		}
	}
	fill(light, 10)
	fill(other, 30)
	fill(heavy, 400)
	if c.lost(defrag.Evicted) == 0 {
		t.Fatal("nothing was evicted")
	}
	arrived := 0
	for i := range uint32(40) {
		h := light
		if i >= 10 {
			h = other
		}
		if c.send(h, 0, segment{i + 1, 1448, 8, false}, 0) == defrag.Reassembled {
			arrived++
		}
	}
	if arrived != 40 {
		t.Errorf("%d of 40 datagrams of those who hold less arrived", arrived)
	}
}

// TestCapsAtOnce: the caps on fragments and datagrams hold while many gather at once,
// but for one a goroutine.
func TestCapsAtOnce(t *testing.T) {
	const cap, goroutines = 50, 4
	c := newCrowd(t, defrag.Config{Zone: defrag.ZoneConfig{MaxDatagrams: cap}})
	var senders sync.WaitGroup
	for g := range goroutines {
		senders.Go(func() {
			for i := range 200 {
				c.send(host{uint32(g), 0}, 0, segment{uint32(i), 0, 8, true}, 0)
			}
		})
	}
	senders.Wait()
	s, _ := c.engine.ZoneStats(0)
	if s.Queues < cap || s.Queues > cap+goroutines {
		t.Errorf("%d queues are held, the cap is %d", s.Queues, cap)
	}
	if refused := c.lost(defrag.TooManyDatagrams); refused != goroutines*200-s.Queues {
		t.Errorf("%d packets were refused, %d held", refused, s.Queues)
	}
}

// TestConfigurationWhilePacketsFlow changes policies, thresholds, timeouts and
// caps, removes zones, flushes links and lets time pass while datagrams come,
// among them fragments that one policy takes and another does not. What is
// delivered is what was sent, the balance is exact, nothing is left.
func TestConfigurationWhilePacketsFlow(t *testing.T) {
	const senders, rounds, zones = 3, 500, 3
	c := newCrowd(t, defrag.Config{Total: 200_000, Zone: defrag.ZoneConfig{High: 100_000}})
	stop := make(chan struct{})
	var changing, sending sync.WaitGroup
	changing.Go(func() {
		random := rand.New(rand.NewPCG(3, 5))
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			zone := defrag.Zone(random.IntN(zones))
			high := uint64(random.IntN(100_000) + 1000)
			config := defrag.ZoneConfig{
				Policy:  defrag.Policy(random.IntN(3)),
				High:    high,
				Low:     high / 2,
				Timeout: time.Duration(1+random.IntN(3)) * time.Second,
			}
			if i%50 == 0 {
				config.MaxFragments, config.MaxDatagrams = 3, 3
			}
			if err := c.engine.SetZone(zone, config); err != nil {
				t.Error(err)
			}
			switch i % 40 {
			case 0, 5, 15, 25, 35:
				c.engine.RemoveZone(zone)
			case 10:
				c.engine.FlushLink(0)
			case 20:
				c.clock.Advance(time.Second)
			case 30:
				c.engine.Stats()
			}
		}
	})
	for g := range senders {
		sending.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range rounds {
				zone := defrag.Zone(random.IntN(zones))
				from := host{uint32(g), uint32(i % 2)}
				list := segments(uint32(i), 60, 16)
				list = append(list,
					segment{uint32(i), 16, 0, true},    // empty
					segment{uint32(i), 0, 0, true},     //
					segment{uint32(i), 32, 13, true},   // unaligned
					segment{uint32(i), 64, 1448, true}, // past the end
					list[1], list[3])
				for _, at := range random.Perm(len(list)) {
					c.send(from, zone, list[at], 0)
				}
			}
		})
	}
	sending.Wait()
	close(stop)
	changing.Wait()
	if err := c.engine.Audit(); err != nil {
		t.Error(err)
	}
	if c.engine.Stats().Total.Datagrams == 0 {
		t.Error("no datagram came through")
	}
}

// TestRemovalWhilePacketsFlow: a zone that is removed while packets come to it
// leaves no queue behind that no zone answers for.
func TestRemovalWhilePacketsFlow(t *testing.T) {
	const senders, fragments = 3, 3000
	c := newCrowd(t, defrag.Config{})
	stop := make(chan struct{})
	var removing, sending sync.WaitGroup
	removing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				c.engine.RemoveZone(0)
			}
		}
	})
	for g := range senders {
		sending.Go(func() {
			for i := range uint32(fragments) {
				c.send(host{uint32(g), 0}, 0, segment{i, 0, 8, true}, 0)
			}
		})
	}
	sending.Wait()
	close(stop)
	removing.Wait()
	if err := c.engine.Audit(); err != nil {
		t.Error(err)
	}
	c.engine.RemoveZone(0)
	if flushed := c.lost(defrag.Flushed); flushed != senders*fragments {
		t.Errorf("%d fragments were flushed, want %d", flushed, senders*fragments)
	}
}

// TestPolicyOfOnePacket: a fragment is judged by the one policy that it was
// read by, though the zone's changes meanwhile.
func TestPolicyOfOnePacket(t *testing.T) {
	const rounds = 2000
	c := newCrowd(t, defrag.Config{})
	stop := make(chan struct{})
	var changing sync.WaitGroup
	changing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := c.engine.SetZone(0, defrag.ZoneConfig{Policy: defrag.Policy(i % 2 * 2)}); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range uint32(rounds) {
		// No policy holds either.
		for _, s := range []segment{{2 * i, 8, 0, true}, {2*i + 1, 8, 13, true}} {
			if v := c.send(host{}, 0, s, 0); v == defrag.Held {
				t.Errorf("fragment of %d octets at %d: %v", s.length, s.offset, v)
			}
		}
	}
	close(stop)
	changing.Wait()
}
