package defrag

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// zones are the zones that an engine knows, declared or in use.
type zones struct {
	defaults ZoneConfig
	limit    int
	// recent finds most zones without a lock.
	recent [64]atomic.Pointer[zone]

	mu    sync.RWMutex
	known map[Zone]*zone // guarded by mu
	// refused counts the zones refused since idle ones were last looked for;
	// guarded by mu.
	refused int
}

// find returns the zone, or nil if it is not known.
func (s *zones) find(id Zone) *zone {
	slot := &s.recent[id%Zone(len(s.recent))]
	if z := slot.Load(); z != nil && z.id == id && !z.gone.Load() {
		return z
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	z := s.known[id]
	if z != nil {
		slot.Store(z)
	}
	return z
}

// need returns the zone, new if necessary, or nil if there are too many.
func (s *zones) need(id Zone) *zone {
	if z := s.find(id); z != nil {
		return z
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if z := s.known[id]; z != nil {
		return z
	}
	if len(s.known) >= s.limit && !s.forgetIdleLocked() {
		return nil
	}
	return s.addLocked(id, s.defaults)
}

// addLocked adds a zone. s.mu must be held.
func (s *zones) addLocked(id Zone, config ZoneConfig) *zone {
	z := &zone{id: id}
	z.config.Store(&config)
	s.known[id] = z
	return z
}

// forgetIdleLocked makes room by forgetting the zones that hold nothing and
// were not declared, and reports whether there is room now. It looks again
// only after a number of refusals in proportion, so that a refusal stays
// cheap. s.mu must be held.
func (s *zones) forgetIdleLocked() bool {
	if s.refused > 0 && s.refused < s.limit/16 {
		s.refused++
		return false
	}
	for id, z := range s.known {
		if !z.declared && z.remove(true) {
			delete(s.known, id)
		}
	}
	if len(s.known) < s.limit {
		s.refused = 0
		return true
	}
	s.refused = 1
	return false
}

// declare sets a zone's configuration, and returns the zone, or nil if there
// are too many.
func (s *zones) declare(id Zone, config ZoneConfig) *zone {
	s.mu.Lock()
	defer s.mu.Unlock()
	z := s.known[id]
	if z == nil {
		if len(s.known) >= s.limit && !s.forgetIdleLocked() {
			return nil
		}
		z = s.addLocked(id, config)
	}
	z.declared = true
	z.config.Store(&config)
	return z
}

// remove forgets a zone and closes it to new queues; it returns the zone, or
// nil if it is not known.
func (s *zones) remove(id Zone) *zone {
	s.mu.Lock()
	defer s.mu.Unlock()
	z := s.known[id]
	if z != nil {
		z.remove(false)
		delete(s.known, id)
		s.recent[id%Zone(len(s.recent))].CompareAndSwap(z, nil)
	}
	return z
}

// all returns the zones by ascending id.
func (s *zones) all() []*zone {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]*zone, 0, len(s.known))
	for _, z := range s.known {
		list = append(list, z)
	}
	slices.SortFunc(list, func(a, b *zone) int { return cmp.Compare(a.id, b.id) })
	return list
}
