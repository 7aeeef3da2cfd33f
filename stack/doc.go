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
// What is not done: packets are not forwarded from link to link, addresses are
// usable at once, without Duplicate Address Detection, and router
// advertisements are ignored.
//
// The package has no globals, starts no goroutine of its own that outlives
// [Stack.Close], and logs only through the logger it is given.
package stack
