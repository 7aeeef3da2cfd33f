package capture

import "github.com/v6stack/v6stack/defrag"

// Counts says what became of a capture. Every packet read is written, joined
// or dropped, and datagrams are written on top:
//
//	Written == Packets - Joined - sum of Dropped + Datagrams
type Counts struct {
	// Packets read and written.
	Packets, Written uint64
	// Foreign packets, of link types that are not looked into, among both.
	Foreign uint64
	// Datagrams reassembled, and the fragments Joined in them.
	Datagrams, Joined uint64
	// Atomic fragments, written without their Fragment header.
	Atomic uint64
	// Dropped fragments by reason.
	Dropped [defrag.NumVerdicts]uint64
	// Errors is how many ICMPv6 errors a node would have sent.
	Errors uint64
}

// Losses returns the number of fragments dropped for any reason.
func (c *Counts) Losses() uint64 {
	var sum uint64
	for _, n := range c.Dropped {
		sum += n
	}
	return sum
}
