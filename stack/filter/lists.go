package filter

// openLocked adds a flow, and makes room for it.
func (s *shard) openLocked(x *subject, rule int) {
	s.reapLocked(reapBatch)
	s.shrinkLocked(s.limit - 1)
	i := s.flows.insert(&x.key, x.hash)
	s.flows.entries[i].value.open(x, rule)
	s.linkLocked(i)
	s.pairs.add(&x.key.pair, 1)
	s.turnover.Opened++
}

// removeLocked takes out flow i.
func (s *shard) removeLocked(i int32) {
	s.unlinkLocked(i)
	s.pairs.add(&s.flows.entries[i].key.pair, -1)
	s.flows.remove(i)
}

// reapLocked removes expired flows, at most so many.
func (s *shard) reapLocked(most int) {
	for n := range s.lists {
		for most > 0 {
			i := s.lists[n].first
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
		i := s.lists[n].first
		if i == 0 {
			continue
		}
		if closest == 0 || s.flows.entries[i].value.deadline < s.flows.entries[closest].value.deadline {
			closest = i
		}
	}
	return closest
}

// linkLocked puts flow i at the end of its list.
func (s *shard) linkLocked(i int32) {
	f := &s.flows.entries[i].value
	f.list = 2 * uint8(f.state)
	if f.replied {
		f.list++
	}
	l := &s.lists[f.list]
	f.before, f.after = l.last, 0
	if l.last == 0 {
		l.first = i
	} else {
		s.flows.entries[l.last].value.after = i
	}
	l.last = i
}

// unlinkLocked takes flow i out of its list.
func (s *shard) unlinkLocked(i int32) {
	f := &s.flows.entries[i].value
	l := &s.lists[f.list]
	if f.before == 0 {
		l.first = f.after
	} else {
		s.flows.entries[f.before].value.after = f.after
	}
	if f.after == 0 {
		l.last = f.before
	} else {
		s.flows.entries[f.after].value.before = f.before
	}
}

// eachLocked calls visit with the number of every flow; visit may remove it.
func (s *shard) eachLocked(visit func(i int32)) {
	for n := range s.lists {
		for i := s.lists[n].first; i != 0; {
			after := s.flows.entries[i].value.after
			visit(i)
			i = after
		}
	}
}

// replace puts other rules and another limit in place: the flows that the
// rules would not open are removed.
func (s *shard) replace(rules *ruleset, carry []int, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.limit = rules, limit
	s.tally = s.tally.carried(carry)
	s.reapAllLocked(s.now)
	s.eachLocked(func(i int32) {
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
	s.eachLocked(func(i int32) {
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
