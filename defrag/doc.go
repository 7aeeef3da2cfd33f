// Package defrag reassembles fragmented IPv6 datagrams, the way Linux's
// connection tracking does: ahead of everything that looks at ports. It takes
// and returns gVisor buffers and needs no gVisor stack.
//
// # Standards
//
// RFC 8200 section 4.5 (reassembly), RFC 5722 (overlaps), RFC 6946 (atomic
// fragments), RFC 6980 (no Neighbor Discovery in fragments), RFC 7112 (whole
// header chain in the first fragment), RFC 3168 section 5.3 (ECN), RFC 2675
// (no jumbograms). Where they leave a choice, [Policy] has it; [Linux] equals
// nf_defrag_ipv6. docs/BEHAVIOUR.md has the rules for an operator.
//
// # Layers
//
// Each knows nothing of the next:
//
//	coverage  which octets of a datagram are held: integers only
//	assembly  one datagram: its fragments, its end, its headers
//	table     all datagrams of a shard: by key, and by deadline
//	Engine    shards with locks and timers, zones with budgets
//
// A packet goes down in [Engine.Gather]: inspect (packet.go, chain.go) reads
// its headers and judges what can be judged without the datagram; the shard
// finds the queue; assembly.judge says whether the fragment may join; add keeps
// it; and join makes the datagram when nothing is missing.
//
// # What it does not do
//
// It sends nothing: the ICMPv6 error that a packet earns is told to the
// packet's [Handler]. It does not reassemble IPv4, does not verify checksums,
// and does not look at a packet that is no fragment beyond its header chain.
//
// # Time, memory, concurrency
//
// Time is a [gvisor.dev/gvisor/pkg/tcpip.Clock]; a datagram times out no earlier
// than its zone's timeout after the first of its fragments to arrive, and at
// once when the timer fires.
//
// Memory is counted as truesize: the capacity of the chunks that are pinned, and
// our own structures. A zone above its high threshold evicts down to its low
// one, or by a sixteenth of the high one if that is more; victims come from the
// /64 that holds most, and in it from the address that does. All zones together
// stay below the engine's total, for which the zones furthest above an equal
// share yield. Both are checked after each fragment: the excess is one fragment
// a goroutine.
//
// Payload is chained, not copied, where a fragment fills a quarter of the
// memory it pins; smaller payload is copied once or a few times into memory of
// its size. A delivered datagram pins at most four times its length and a
// constant.
//
// Many goroutines may gather at once: each datagram belongs to one of 64 shards
// with a lock of its own. In-order fragments, duplicates, expiry and removal
// take constant time; an eviction takes time in proportion to the zone's queues
// (times their logarithm) and frees a part of them.
package defrag
