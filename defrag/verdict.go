package defrag

import "fmt"

// A Verdict is the fate of one packet. Every packet that [Engine.Gather] takes
// meets exactly one final verdict: its own at once or, after [Held], that of
// the datagram it belongs to. Each verdict has one counter in [Counts]; packets
// whose fixed header already rules out a fragment count in the engine's total
// only.
type Verdict uint8

// The first four verdicts are no drop.
const (
	// Passed: the packet is no fragment (or policy [Linux] hands it on as it
	// is); it was not touched.
	Passed Verdict = iota
	// Held: the packet waits for the rest of its datagram.
	Held
	// Reassembled: the packet completed its datagram, which took its place.
	Reassembled
	// Atomic: the packet was a fragment by itself (RFC 6946) and came out with
	// its Fragment header cut away. Policy [Linux] knows none: there it is
	// Reassembled.
	Atomic

	// The following are drops of the packet alone: its queue stays as it was.

	// Jumbogram: a Fragment header in a packet with Payload Length 0
	// (RFC 2675 section 3).
	Jumbogram
	// TruncatedHeader: fewer than 8 octets of the Fragment header are there.
	TruncatedHeader
	// TruncatedPacket: fewer octets than Payload Length says.
	TruncatedPacket
	// HopByHopFragmented: a Hop-by-Hop Options header right after the Fragment
	// header (RFC 8200 section 4.1).
	HopByHopFragmented
	// NestedFragment: a second Fragment header in the first fragment.
	NestedFragment
	// IncompleteChain: the first fragment does not hold all headers through
	// the upper-layer header (RFC 7112 section 5).
	IncompleteChain
	// NeighborDiscovery: a Neighbor Discovery message in a fragment (RFC 6980
	// section 5).
	NeighborDiscovery
	// Unaligned: more fragments follow, yet the length is no multiple of 8.
	Unaligned
	// PastMaximum: the fragment ends past octet 65,535 of the payload.
	PastMaximum
	// EmptyFragment: the fragment has no payload.
	EmptyFragment
	// Duplicate: the fragment's octets are there already.
	Duplicate
	// ConflictingEnd: policy [Linux] refuses a fragment that disagrees with the
	// end of its datagram.
	ConflictingEnd
	// AfterDiscard: policy [RFC5722] refuses the rest of a discarded datagram.
	AfterDiscard
	// TooManyDatagrams: the zone holds its maximum of queues.
	TooManyDatagrams
	// TooManyZones: the engine knows its maximum of zones.
	TooManyZones
	// EngineClosed: the engine is closed.
	EngineClosed

	// The following are fates of whole queues.

	// DatagramTooLong: headers and payload exceed Payload Length 65,535.
	DatagramTooLong
	// DuplicateDiscard: policy [RFC5722] discards the datagram for a duplicate.
	DuplicateDiscard
	// Overlap: fragments overlap (RFC 5722 section 4).
	Overlap
	// EndMismatch: two different ends, or data past the end.
	EndMismatch
	// UnalignedDiscard: policy [Linux] discards the datagram of an unaligned
	// fragment, which itself passes.
	UnalignedDiscard
	// ECNMismatch: Not-ECT mixed with ECT or CE (RFC 3168 section 5.3).
	ECNMismatch
	// TimedOut: the datagram was not complete in time.
	TimedOut
	// Evicted: the zone's memory was above its high threshold.
	Evicted
	// EvictedTotal: the engine's memory was above its total.
	EvictedTotal
	// TooManyFragments: the datagram has more fragments than allowed.
	TooManyFragments
	// Flushed: the zone, the link or the engine went away.
	Flushed

	// NumVerdicts is the number of verdicts.
	NumVerdicts
)

var verdictNames = [NumVerdicts]string{
	Passed:             "passed",
	Held:               "held",
	Reassembled:        "reassembled",
	Atomic:             "atomic",
	Jumbogram:          "jumbogram",
	TruncatedHeader:    "truncated-header",
	TruncatedPacket:    "truncated-packet",
	HopByHopFragmented: "hop-by-hop-fragmented",
	NestedFragment:     "nested-fragment",
	IncompleteChain:    "incomplete-chain",
	NeighborDiscovery:  "neighbor-discovery",
	Unaligned:          "unaligned",
	PastMaximum:        "past-maximum",
	EmptyFragment:      "empty",
	Duplicate:          "duplicate",
	ConflictingEnd:     "conflicting-end",
	AfterDiscard:       "after-discard",
	TooManyDatagrams:   "too-many-datagrams",
	TooManyZones:       "too-many-zones",
	EngineClosed:       "engine-closed",
	DatagramTooLong:    "datagram-too-long",
	DuplicateDiscard:   "duplicate-discard",
	Overlap:            "overlap",
	EndMismatch:        "end-mismatch",
	UnalignedDiscard:   "unaligned-discard",
	ECNMismatch:        "ecn-mismatch",
	TimedOut:           "timed-out",
	Evicted:            "evicted",
	EvictedTotal:       "evicted-total",
	TooManyFragments:   "too-many-fragments",
	Flushed:            "flushed",
}

// String returns the verdict's name as counters and tables show it.
func (v Verdict) String() string {
	if v < NumVerdicts {
		return verdictNames[v]
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// IsDrop reports whether a packet of this verdict is gone for good.
func (v Verdict) IsDrop() bool { return v >= Jumbogram }
