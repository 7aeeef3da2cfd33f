package defrag

import "sync/atomic"

// counters count packets by final verdict, and datagrams.
type counters struct {
	packets   [NumVerdicts]atomic.Uint64
	datagrams atomic.Uint64
}

// add counts n packets.
func (c *counters) add(v Verdict, n int) { c.packets[v].Add(uint64(n)) }

// snapshot returns the counts, gauges excepted.
func (c *counters) snapshot() (s Counts) {
	for v := range c.packets {
		s.Packets[v] = c.packets[v].Load()
	}
	s.Datagrams = c.datagrams.Load()
	return s
}
