// Package tun opens TUN devices as link endpoints for gVisor.
//
//	Config ── Open ──► Device ── Endpoint ──► gVisor's stack, or linkep
//	                     │
//	                   Queue: one or several
//	                     ├─ native  Linux, Android: views, readv and writev
//	                     ├─ water   Linux, macOS, Windows: slices
//	                     ├─ pipe    memory, see Pipe
//	                     └─ New     another package's, such as tun/wgtun
//
// # The way of a packet
//
// One goroutine a queue waits for packets and delivers each to whoever is
// attached. The native backend reads straight into gVisor views: the first 128
// octets into a small one, so that gVisor's header work never copies a large
// chunk, the rest into few that fit it, so that a packet of 1,500 octets keeps
// 2,176. It writes straight out of the views of a packet. Nothing is copied
// but the tail of a packet with more than 1,024 views, and what would keep more
// than four times its size.
//
// IPv4 and IPv6 are told apart by their version; all else is dropped and
// counted, see [Device.Stats].
//
// # Offloads
//
// On Linux the native backend agrees with the kernel on as much as that grants,
// see [Features]. Large TCP segments then pass whole, in both directions, with
// their GSOOptions; large UDP datagrams are cut as they come in, since gVisor
// knows none. Consecutive segments that are written in one call go as a large
// one. Whatever the other side cannot do is done in software, so that any
// device takes any packet.
//
// With checksum offload the endpoint says so of what it delivers, which gVisor
// then believes: the device verifies what the system does not vouch for, but
// for fragments. Those of IPv6 are linkep's to verify; those of IPv4, which
// gVisor reassembles, nobody verifies. The endpoint does not say so of what it
// is given: gVisor would take it for a promise about fragments, too.
//
// # Queues
//
// Each flow is written through one queue, and Linux answers through the same
// once it has seen a packet of it; so the first ones of a flow may change
// places where there are several queues. Writes wait for room a moment, then
// the packet is refused and counted; what the host sends faster than it is read
// fills a queue of 2,048 packets of the kernel's, which drops the rest and
// counts them as the interface's.
//
// # The host's side
//
// On Linux the interface gets its MTU, addresses and routes through netlink,
// and is up when [Open] returns. It may live in another network namespace
// than the program: a descriptor works across them. Nothing outside of the
// interface is changed.
//
// # Not done
//
// A TAP device is refused where [Config.FD] brings one; packet information
// cannot be told, and makes every packet one that is not IP. FreeBSD compiles,
// but Open refuses: tun/wgtun is for it. So it does a descriptor on iOS and
// macOS.
//
// # Concurrency
//
// Everything may be called from many goroutines at once. The readers start
// with the first attachment and end with [Device.Close], which waits for them.
package tun
