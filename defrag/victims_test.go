package defrag

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/v6stack/v6stack/internal/wire"
)

// candidateOf returns a queue of that source.
func candidateOf(prefix, address, hash uint64, bytes int) candidate {
	c := candidate{hash: hash, bytes: bytes}
	binary.BigEndian.PutUint64(c.key.source[:8], prefix)
	binary.BigEndian.PutUint64(c.key.source[8:], address)
	return c
}

// naiveVictims is victims.choose, one victim at a time by looking at all.
func naiveVictims(left []candidate, need, floor int) (chosen []candidate) {
	left = slices.Clone(left)
	for need > 0 && len(left) > 0 {
		prefix := most(left, (*candidate).prefix, floor)
		within := slices.DeleteFunc(slices.Clone(left), func(c candidate) bool { return c.prefix() != prefix })
		address := most(within, (*candidate).address, floor)
		within = slices.DeleteFunc(within, func(c candidate) bool { return c.address() != address })
		victim := slices.MaxFunc(within, func(a, b candidate) int { return compareHash(a.hash, b.hash) })
		chosen = append(chosen, victim)
		need -= victim.bytes
		left = slices.DeleteFunc(left, func(c candidate) bool { return c == victim })
	}
	return chosen
}

func compareHash(a, b uint64) int {
	if a < b {
		return -1
	}
	return 1
}

// most returns the source that holds most, coarsely; among equals, the one
// whose next victim has the highest hash.
func most(left []candidate, of func(*candidate) uint64, floor int) (best uint64) {
	bytes := make(map[uint64]int)
	for i := range left {
		bytes[of(&left[i])] += left[i].bytes
	}
	best = of(&left[0])
	for id := range bytes {
		a := source{bytes: bytes[id], top: nextVictim(left, of, id, floor)}
		b := source{bytes: bytes[best], top: nextVictim(left, of, best, floor)}
		if a.before(&b, floor) {
			best = id
		}
	}
	return best
}

// nextVictim returns the hash of the victim that the source would lose next.
func nextVictim(left []candidate, of func(*candidate) uint64, id uint64, floor int) (hash uint64) {
	within := slices.DeleteFunc(slices.Clone(left), func(c candidate) bool { return of(&c) != id })
	if of(&within[0]) == within[0].prefix() { // A prefix: its worst address decides.
		address := most(within, (*candidate).address, floor)
		within = slices.DeleteFunc(within, func(c candidate) bool { return c.address() != address })
	}
	return slices.MaxFunc(within, func(a, b candidate) int { return compareHash(a.hash, b.hash) }).hash
}

func TestVictims(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var v victims
	for round := range 500 {
		v.candidates = v.candidates[:0]
		n := 1 + random.IntN(25)
		for range n {
			// Prefixes from 1000 on, so that no address is equal to one.
			prefix, address := 1000+random.Uint64N(4), random.Uint64N(3)
			v.candidates = append(v.candidates, candidateOf(prefix, address, random.Uint64(), 100+random.IntN(3000)))
		}
		need, floor := random.IntN(40000), 1+random.IntN(4000)
		want := naiveVictims(v.candidates, need, floor)
		var got []candidate
		v.choose(need, floor, func(c *candidate) { got = append(got, *c) })
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: need %d, floor %d\n got %v\nwant %v", round, need, floor, hashes(got), hashes(want))
		}
	}
}

func hashes(list []candidate) (h []uint64) {
	for _, c := range list {
		h = append(h, c.hash)
	}
	return h
}

// R35: one source that holds much loses, be it one address or a whole /64;
// small ones lose nothing.
func TestVictimsOfAFlood(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for name, address := range map[string]func() uint64{
		"one address": func() uint64 { return 1 },
		"a /64":       random.Uint64,
	} {
		var v victims
		for prefix := range uint64(50) {
			v.candidates = append(v.candidates, candidateOf(1000+prefix, 0, random.Uint64(), 3000))
		}
		for range 2000 {
			v.candidates = append(v.candidates, candidateOf(9999, address(), random.Uint64(), 1000))
		}
		random.Shuffle(len(v.candidates), func(i, j int) { v.candidates[i], v.candidates[j] = v.candidates[j], v.candidates[i] })
		freed := 0
		v.choose(1_500_000, 32<<10, func(c *candidate) {
			if freed += c.bytes; c.prefix() != 9999 {
				t.Errorf("%s: the source %d lost its only queue", name, c.prefix())
			}
		})
		if freed < 1_500_000 || freed >= 1_500_000+3000 {
			t.Errorf("%s: %d octets freed", name, freed)
		}
	}
}

// R35: the victim is fixed by the hash of its datagram: of a burst of equals
// the same ones go, however often one looks and in whatever order they came.
func TestVictimsAreFixed(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	var all []candidate
	for id := range uint64(300) {
		all = append(all, candidateOf(1000+id%10, id%7, random.Uint64(), 500))
	}
	byHash := slices.SortedFunc(slices.Values(all), func(a, b candidate) int { return compareHash(b.hash, a.hash) })
	for range 10 {
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		v := victims{candidates: slices.Clone(all)}
		var gone []candidate
		v.choose(100*500, 1<<20, func(c *candidate) { gone = append(gone, *c) })
		if !slices.Equal(gone, byHash[:100]) {
			t.Fatal("not the hundred highest hashes")
		}
	}
}

// A victim that is gone when its turn comes is left alone, and so is the
// datagram that has its key now.
func TestVictimsThatAreGone(t *testing.T) {
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	packets := ends.Split(1, wire.UDPProtocol, ends.UDP(1, 2, wire.Payload(100)), 64)
	gather := func(packet []byte, want Verdict) {
		t.Helper()
		b := buffer.MakeWithData(packet)
		defer b.Release()
		if v := e.Gather(&b, &Metadata{}, nil); v != want {
			t.Fatalf("%v, want %v", v, want)
		}
	}
	gather(packets[0], Held)
	chosen := e.zones.find(0).candidates(nil)
	if len(chosen) != 1 {
		t.Fatalf("%d candidates", len(chosen))
	}
	var taken queueList
	gather(packets[1], Reassembled)
	if e.take(&chosen[0], &taken); taken.first != nil {
		t.Fatal("a delivered datagram was taken")
	}
	gather(packets[0], Held)
	if e.take(&chosen[0], &taken); taken.first != nil {
		t.Error("the next datagram of its key was taken")
	}
	gather(packets[1], Reassembled)
}
