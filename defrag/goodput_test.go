package defrag_test

import (
	"math/rand/v2"
	"testing"

	"github.com/v6stack/v6stack/defrag"
)

// concurrent sends datagrams of two fragments, 1,448 and 560 octets, all first
// fragments before all second ones, and returns how many arrive.
func concurrent(c *crowd, datagrams int, from func(i int) host, second []int) (arrived int) {
	c.Helper()
	for i := range datagrams {
		c.send(from(i), 0, segment{uint32(i), 0, 1448, true}, 0)
	}
	for _, i := range second {
		if c.send(from(i), 0, segment{uint32(i), 1448, 560, false}, 0) == defrag.Reassembled {
			arrived++
		}
	}
	return arrived
}

// TestGoodput: of 10,000 concurrent datagrams, three times what the default
// budget holds, at least 1,000 arrive, in whatever order and from however many
// sources; all do where the budget is large enough.
func TestGoodput(t *testing.T) {
	const datagrams = 10_000
	random := rand.New(rand.NewPCG(1, 2))
	inOrder := make([]int, datagrams)
	for i := range inOrder {
		inOrder[i] = i
	}
	c := newCrowd(t, defrag.Config{Zone: defrag.ZoneConfig{High: 40 << 20}})
	if arrived := concurrent(c, datagrams, func(int) host { return host{} }, inOrder); arrived != datagrams {
		t.Errorf("with 40 MiB %d of %d arrived", arrived, datagrams)
	}
	sources := map[string]func(i int) host{
		"one source":   func(int) host { return host{} },
		"as many /64s": func(i int) host { return host{uint32(i), 0} },
		"100 sources":  func(i int) host { return host{uint32(i % 10), uint32(i % 100)} },
	}
	for name, from := range sources {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t, defrag.Config{})
			second := inOrder
			if name != "one source" {
				second = random.Perm(datagrams)
			}
			arrived := concurrent(c, datagrams, from, second)
			t.Logf("%d of %d arrived", arrived, datagrams)
			if arrived < 1000 {
				t.Errorf("%d of %d arrived, want at least 1,000", arrived, datagrams)
			}
		})
	}
}
