// Package filter is a stateful packet filter for IPv6 datagrams that go from
// one link to another.
//
// A [Filter] judges whole datagrams: [ParseBuffer] reads the headers of one
// into a [Packet], and [Filter.Judge] says [Allow], [Deny] or [Reject].
//
//	packet ──▶ flow known? ──▶ yes: allow, the flow lives on
//	                 │ no
//	                 ▼
//	           first rule that matches ──▶ allow: a new flow
//	                 │ none                deny, reject
//	                 ▼
//	           allow within a zone, deny between zones
//
// # Flows
//
// A packet that is allowed opens a flow, unless its rule is stateless. Packets
// of the flow pass in both directions whatever later rules say, and so do ICMPv6
// errors about them. A flow is known by protocol, addresses, ports (the
// Identifier of an ICMPv6 echo) and the zones of both ends, so that equal
// addresses in two zones never meet. It remembers its links, too: a packet of
// it that takes other links passes only if the rules allow the flow there.
//
//   - TCP follows a small state machine without sequence numbers; a connection
//     whose start was not seen is picked up by an acknowledged segment.
//     A packet that stands for several segments counts as all of them.
//   - UDP becomes a stream once answers have come for two seconds.
//   - An ICMPv6 echo request opens a flow for replies with its Identifier. Other
//     ICMPv6 messages open none.
//   - All other protocols are told apart by their addresses.
//
// Flows expire as those of Linux's connection tracking do by default; see
// [State.Timeout].
//
// # ICMPv6 errors
//
// An error passes if the packet it quotes belongs to a flow and was sent by the
// error's destination. A quoted fragment that is not its datagram's first has
// no ports: the error about it passes if any flow between its two addresses
// exists. An error about anything else meets the rules like other packets.
//
// # What is not done
//
// Nothing is dropped or sent here: the caller obeys the [Verdict]. Checksums
// and TCP sequence numbers are not looked at. Fragments are not gathered; a
// packet that is a fragment is refused by the parser.
//
// # Time, memory, concurrency
//
// Time is an argument. There are no goroutines and no timers: an expired flow
// is dead at once, and its memory is used again when flows are opened or
// listed. Memory is bounded by [Config].MaxFlows; a new flow in a full table
// takes the place of one never answered, else of the one closest to its end.
// Once the table has grown, nothing allocates. All methods may be called from
// many goroutines at once; the table is split into shards with a lock each, and
// nothing outside the package is called under a lock.
package filter
