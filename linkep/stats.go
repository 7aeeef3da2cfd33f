package linkep

import "sync/atomic"

// Stats is a snapshot of what an [Endpoint] counts itself, in packets since it
// was made. What became of fragments, the engine counts.
type Stats struct {
	// Filtered packets: Options.Filter said no.
	Filtered uint64
	// NeighborDiscovery messages that had been fragmented (RFC 6980 section 5)
	// and that the engine's policy had let through.
	NeighborDiscovery uint64
	// Hidden Fragment headers, behind a header that only gVisor steps over: it
	// would reassemble them past the filter.
	Hidden uint64
	// BadChecksum datagrams, verified because the NIC does not.
	BadChecksum uint64
	// Detached packets came while there was nobody to hand them to.
	Detached uint64

	// ErrorsSent are ICMPv6 errors written to the link.
	ErrorsSent uint64
	// ErrorsSuppressed are those that RFC 4443 section 2.4(e) forbids, or for
	// which there was no address to send from.
	ErrorsSuppressed uint64
	// ErrorsLimited are those above the rate limit.
	ErrorsLimited uint64
	// ErrorsFailed are those that the link did not take.
	ErrorsFailed uint64
}

// counters are the live form of [Stats].
type counters struct {
	filtered, neighborDiscovery, hidden, badChecksum, detached atomic.Uint64
	errorsSent, errorsSuppressed, errorsLimited, errorsFailed  atomic.Uint64
}

// Stats returns a snapshot. Each counter is exact; they are not read at one
// instant.
func (e *Endpoint) Stats() Stats {
	c := &e.counters
	return Stats{
		Filtered:          c.filtered.Load(),
		NeighborDiscovery: c.neighborDiscovery.Load(),
		Hidden:            c.hidden.Load(),
		BadChecksum:       c.badChecksum.Load(),
		Detached:          c.detached.Load(),
		ErrorsSent:        c.errorsSent.Load(),
		ErrorsSuppressed:  c.errorsSuppressed.Load(),
		ErrorsLimited:     c.errorsLimited.Load(),
		ErrorsFailed:      c.errorsFailed.Load(),
	}
}
