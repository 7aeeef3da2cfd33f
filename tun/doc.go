// Package tun opens TUN devices as link endpoints for gVisor.
//
//	Config ── Open ──► Device ── Endpoint ──► gVisor's stack, or linkep
//	                     │
//	                   queue: one descriptor
//	                     ├─ native  Linux, Android: views, readv and writev
//	                     └─ water   Linux, macOS, Windows: slices
//
// # The way of a packet
//
// One goroutine a device waits for packets and delivers each to whoever is
// attached. The native backend reads straight into gVisor views: the first 128
// octets into a small one, so that gVisor's header work never copies a large
// chunk, the rest into few that fit it, so that a packet of 1,500 octets keeps
// 2,176. It writes straight out of the views of a packet. Nothing is copied
// but the tail of a packet with more than 1,024 views.
//
// IPv4 and IPv6 are told apart by their version; all else is dropped and
// counted, see [Device.Stats].
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
// There is no segmentation or checksum offload, and one queue a device. A TAP
// device or GSO headers are refused where [Config.FD] brings them; packet
// information cannot be told, and makes every packet one that is not IP.
// FreeBSD compiles, but Open refuses; so it does a descriptor on iOS and macOS.
//
// # Concurrency
//
// Everything may be called from many goroutines at once. The reader starts
// with the first attachment and ends with [Device.Close], which waits for it.
package tun
