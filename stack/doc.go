// Package stack assembles gVisor network stacks whose links reassemble IPv6
// datagrams before anything else sees them.
//
// A [Stack] has links, addresses, routes and zones. Each [Zone] is a gVisor
// stack of its own, with its own addresses, routes and sockets; a link belongs
// to exactly one. All share one defrag.Engine, in which each zone has its own
// budget, so that equal addresses in two zones never meet.
//
//	links        link "a"   link "b"      link "c"
//	                 \        /               |
//	zones             zone ""             zone "lab"
//	                     \                  /
//	engine                one defrag.Engine
//
// Sockets are Go's: [Zone.DialContext], [Zone.Listen] and [Zone.ListenPacket]
// give net.Conn, net.Listener and net.PacketConn. Addresses are literals;
// nothing here asks a name server.
//
// # Router
//
// With [Config].Forward, IPv6 packets that are for somebody else go on to the
// link that a route names, and packets for any address of the zone go up,
// whichever link they come from. gVisor's forwarding stays off.
//
//	in the order of the steps                         else
//	destination may be forwarded to                   up, or dropped
//	packet is whole, source may be forwarded          dropped
//	source is not ours, and belongs on the link       dropped
//	a route, on this zone's way                       1/0, or 1/3
//	the rules allow it; none: it stays in the zone    dropped, or 1/1
//	hop limit above 1                                 3/0
//	no fragment or segment above the link's MTU       2/0 with the MTU
//	the link takes it                                 dropped
//
// Numbers are types and codes of the ICMPv6 errors that are sent down the link
// the packet came from. A datagram that came in fragments is judged whole and
// goes on in the fragments it came in, hop limit apart; errors quote the first of
// them. So is a large TCP segment, as links with offloads hand them up: it goes on
// large through a link that cuts it, else in the segments it stands for, and is
// counted as these. Every drop is counted by its [DropReason]. Zones may use the same
// addresses: a packet leaves its zone only by a [Route] to a link of another and
// where a rule allows it. Rules are those of package filter.
//
// What we send ourselves is split to the MTU of the path for ten minutes after a
// Packet Too Big said so (RFC 8201); one below 1,280 is dropped. TCP that gVisor
// leaves to a link to be cut is cut so small instead.
//
// [Stack.Reload] changes links, addresses, routes, rules and the zones' budgets
// while packets flow.
//
// What is not done: IPv4 is not forwarded, nor multicast, nor are there
// Redirects. Addresses are usable at once, without Duplicate Address Detection,
// and router advertisements are ignored.
//
// The package has no globals, starts no goroutine of its own that outlives
// [Stack.Close], and logs only through the logger it is given.
package stack
