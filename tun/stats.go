package tun

import "sync/atomic"

// Stats counts what did not pass through a device.
type Stats struct {
	// NotIP are packets from the host that were dropped because their version
	// is neither 4 nor 6; TooLong those that exceeded the MTU of a water
	// device; Detached those that came while nothing was attached.
	NotIP, TooLong, Detached uint64
	// Malformed are packets from the host that were dropped because they were
	// not what the offload header ahead of them says; BadChecksum those with a
	// wrong checksum, which are dropped where Features.Checksum is on: gVisor
	// would not look.
	Malformed, BadChecksum uint64
	// Refused are packets for the host that the system did not take: the
	// interface is down, a queue is full, or the packet is not IP.
	Refused uint64
	// ReadErrors are failed reads, such as from an interface that was deleted.
	ReadErrors uint64
	// Outages is the least number of failed reads that a queue has had. It grows
	// only while all queues fail: the interface is likely to be gone.
	Outages uint64
}

// counters are the live form of Stats.
type counters struct {
	notIP, tooLong, detached, malformed, badChecksum, refused atomic.Uint64
}

func (c *counters) snapshot() Stats {
	return Stats{
		NotIP:       c.notIP.Load(),
		TooLong:     c.tooLong.Load(),
		Detached:    c.detached.Load(),
		Malformed:   c.malformed.Load(),
		BadChecksum: c.badChecksum.Load(),
		Refused:     c.refused.Load(),
	}
}
