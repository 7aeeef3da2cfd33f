package defrag_test

import (
	"runtime"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/refs"

	"github.com/v6stack/v6stack/defrag"
)

// heapHeld returns the octets that the heap holds, pools emptied.
func heapHeld() uint64 {
	var m runtime.MemStats
	for range 3 { // A pool forgets at the second collection.
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// withoutLeakChecking runs test with gVisor's leak checking off: its records
// would count as memory held. All that test makes it must release.
func withoutLeakChecking(t *testing.T, test func()) {
	mode := refs.GetLeakMode()
	refs.SetLeakMode(refs.NoLeakChecking)
	defer refs.SetLeakMode(mode)
	test()
}

// TestTruesizeOfQueues: what the zone is charged for is what the heap holds,
// within a fifth, whatever the fragments and the chunks they come in.
func TestTruesizeOfQueues(t *testing.T) {
	for name, fill := range map[string]struct {
		queues, pieces, length, chunk int
		fromFirst                     bool // the first fragment is among them
	}{
		"first fragments of 8 octets in 64":        {8_000, 1, 8, 64, true},
		"first fragments of 8 octets in 2 KiB":     {8_000, 1, 8, 2048, true},
		"first fragments of 8 octets in 64 KiB":    {4_000, 1, 8, 65536, true},
		"later fragments of 8 octets in 64":        {8_000, 1, 8, 64, false},
		"later fragments of 8 octets in 2 KiB":     {8_000, 1, 8, 2048, false},
		"later fragments of 8 octets in 64 KiB":    {4_000, 1, 8, 65536, false},
		"2 fragments of 8 octets":                  {4_000, 2, 8, 64, true},
		"5 fragments of 8 octets":                  {4_000, 5, 8, 64, true},
		"9 fragments of 8 octets in 2 KiB":         {2_000, 9, 8, 2048, true},
		"60 fragments of 8 octets":                 {500, 60, 8, 64, true},
		"1,000 fragments of 8 octets in 2 KiB":     {40, 1000, 8, 2048, false},
		"8,000 fragments of 8 octets in 64":        {8, 8000, 8, 64, true},
		"fragments of 1,448 octets in 2 KiB":       {4_000, 1, 1448, 2048, true},
		"2 fragments of 1,448 octets in 2 KiB":     {2_000, 2, 1448, 2048, true},
		"40 fragments of 1,448 octets in 2 KiB":    {100, 40, 1448, 2048, false},
		"40 fragments of 1,448 octets in 64 KiB":   {100, 40, 1448, 65536, false},
		"30 fragments of 256 octets in 2 KiB":      {200, 30, 256, 2048, true},
		"100 fragments of 48 octets in 128 octets": {200, 100, 48, 128, true},
	} {
		t.Run(name, func(t *testing.T) {
			withoutLeakChecking(t, func() {
				c := newCrowd(t, defrag.Config{Total: 1 << 30, Zone: defrag.ZoneConfig{High: 1 << 30}})
				before := heapHeld()
				for q := range fill.queues {
					for i := range fill.pieces {
						if !fill.fromFirst {
							i++
						}
						s := segment{uint32(q), i * fill.length, fill.length, true}
						if v := c.send(host{}, 0, s, fill.chunk); v != defrag.Held {
							t.Fatal(v)
						}
					}
				}
				held := float64(heapHeld() - before)
				charged := float64(c.zoneBytes(0))
				t.Logf("heap %.0f octets, charged %.0f: %.3f; %.0f a fragment", held, charged, charged/held, held/float64(fill.queues*fill.pieces))
				if charged < 0.8*held || charged > 1.2*held {
					t.Errorf("charged %.0f octets, the heap holds %.0f", charged, held)
				}
				c.settle()
			})
		})
	}
}

// TestDatagramsInSocketQueue: what delivered datagrams pin is at most four
// times their length and a constant.
func TestDatagramsInSocketQueue(t *testing.T) {
	const kept, constant = 10, 4096 + 2048 // the engine's, and structures
	for name, d := range map[string]struct{ size, length, chunk int }{
		"tiny in 64":                {64_000, 8, 64},
		"tiny in 2 KiB":             {64_000, 8, 2048},
		"16 octets in 64":           {64_000, 16, 64},
		"504 octets in 2 KiB":       {64_000, 504, 2048},
		"1,448 octets in 2 KiB":     {64_000, 1448, 2048},
		"1,448 octets in 64 KiB":    {64_000, 1448, 65536},
		"two fragments in 64 KiB":   {2_008, 1448, 65536},
		"two tiny ones in 64 KiB":   {16, 8, 65536},
		"100 tiny ones in 2 KiB":    {800, 8, 2048},
		"600 octets in 2 KiB, tail": {1_808, 600, 2048},
	} {
		t.Run(name, func(t *testing.T) {
			withoutLeakChecking(t, func() {
				c := newCrowd(t, defrag.Config{})
				queue := make([]buffer.Buffer, 0, kept)
				before := heapHeld()
				for i := range kept {
					for _, s := range segments(uint32(i), d.size, d.length) {
						v := buffer.NewView(max(d.chunk, 48+s.length))
						v.Write(s.packet(host{}, nil))
						b := buffer.MakeWithView(v)
						c.gathered++
						if c.engine.Gather(&b, &defrag.Metadata{Handler: c}, nil) == defrag.Reassembled {
							queue = append(queue, b)
						}
					}
				}
				pinned := int(heapHeld()-before) / kept
				if len(queue) != kept {
					t.Fatalf("%d datagrams arrived", len(queue))
				}
				t.Logf("a datagram of %d octets pins %d", d.size, pinned)
				if pinned > 4*(40+d.size)+constant {
					t.Errorf("a datagram of %d octets pins %d", d.size, pinned)
				}
				for i := range queue {
					queue[i].Release()
				}
				c.settle()
			})
		})
	}
}
