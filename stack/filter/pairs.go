package filter

import "sync"

// pairs counts the flows between two addresses, for errors that quote no
// ports. Its locks stand below those of shards.
type pairs struct {
	seed   *seed
	shards [16]struct {
		mu    sync.Mutex
		table table[pair, int32] // guarded by mu
	}
}

// add counts one flow more, or one less if change is -1.
func (s *pairs) add(p *pair, change int32) {
	hash := s.seed.pair(p)
	shard := &s.shards[hash>>60]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	i := shard.table.find(p, hash)
	if i == 0 {
		i = shard.table.insert(p, hash)
	}
	count := &shard.table.entries[i].value
	if *count += change; *count == 0 {
		shard.table.remove(i)
	}
}

// has reports whether a flow between the two exists.
func (s *pairs) has(p *pair) bool {
	hash := s.seed.pair(p)
	shard := &s.shards[hash>>60]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	return shard.table.find(p, hash) != 0
}
