package filter

// openLocked adds a flow, and makes room for it.
func (s *shard) openLocked(x *subject, rule int) {
	s.reapLocked(reapBatch)
	s.shrinkLocked(s.limit - 1)
	i := s.flows.insert(&x.key, x.hash)
	f := &s.flows.entries[i].value
	f.open(x, rule)
	s.order.add(f.list(), i)
	s.pairs.add(&x.key.pair, 1)
	s.turnover.Opened++
}

// removeLocked takes out flow i.
func (s *shard) removeLocked(i int32) {
	e := &s.flows.entries[i]
	s.order.remove(e.value.list(), i)
	s.pairs.add(&e.key.pair, -1)
	s.flows.remove(i)
}

// reapLocked removes expired flows, at most so many.
func (s *shard) reapLocked(most int) {
	for n := range s.order.lists {
		for most > 0 {
			i := s.order.lists[n].first
			if i == 0 || s.flows.entries[i].value.deadline > s.now {
				break
			}
			s.turnover.Expired++
			s.removeLocked(i)
			most--
		}
	}
}

// shrinkLocked evicts flows until no more than most are left.
func (s *shard) shrinkLocked(most int) {
	for s.flows.live > most {
		i := s.closestLocked(0)
		if i == 0 {
			i = s.closestLocked(1)
		}
		s.turnover.Evicted++
		s.removeLocked(i)
	}
}

// closestLocked returns the flow closest to its end among those without a
// reply, or with replied 1 those with one; 0 if there is none.
func (s *shard) closestLocked(replied int) (closest int32) {
	for n := replied; n < numLists; n += 2 {
		i := s.order.lists[n].first
		if i == 0 {
			continue
		}
		if closest == 0 || s.flows.entries[i].value.deadline < s.flows.entries[closest].value.deadline {
			closest = i
		}
	}
	return closest
}

// replace puts other rules and another limit in place: the flows that the
// rules would not open are removed.
func (s *shard) replace(rules *ruleset, carry []int, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.limit = rules, limit
	s.tally = s.tally.carried(carry)
	s.reapAllLocked(s.now)
	s.order.each(func(i int32) {
		e := &s.flows.entries[i]
		rule, ok := rules.keeps(e, e.value.links)
		if !ok {
			s.turnover.Revoked++
			s.removeLocked(i)
			return
		}
		e.value.rule = int32(rule)
	})
	s.shrinkLocked(limit)
}

// snapshot appends all flows to dst.
func (s *shard) snapshot(dst []Flow, now int64) []Flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reapAllLocked(now)
	s.order.each(func(i int32) {
		e := &s.flows.entries[i]
		dst = append(dst, e.value.public(&e.key, s.now))
	})
	return dst
}

// reapAllLocked removes all flows that have expired by now.
func (s *shard) reapAllLocked(now int64) {
	s.now = max(s.now, now)
	s.reapLocked(s.flows.live)
}

// reap removes all flows that have expired by now.
func (s *shard) reap(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reapAllLocked(now)
}
