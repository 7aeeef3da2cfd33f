// Package linkep puts IPv6 reassembly in front of gVisor's network stack.
//
// An [Endpoint] wraps any [gstack.LinkEndpoint] and is one itself: create a
// NIC on it instead of on the endpoint it wraps. Fragments that arrive are
// gathered by a [defrag.Engine], and what goes up is the whole datagram, so that
// a packet filter, connection tracking or a flow demultiplexer behind it sees
// ports in every packet.
//
//	wire → lower endpoint → Endpoint → NIC
//	                          │  ↑
//	                fragments ↓  │ datagrams
//	                      defrag.Engine
//
// # What happens to a packet
//
//	packet                          fate
//	not IPv6                        up, untouched
//	IPv6 without Fragment header    up, untouched, nothing allocated
//	fragment                        gathered; its datagram goes up when complete
//	Fragment header behind a        dropped ([Stats].Hidden)
//	header only gVisor knows
//
// Every packet that goes up, of whatever protocol, passes [Options].Filter first.
// A datagram that was fragmented is dropped if it carries Neighbor Discovery
// (RFC 6980 section 5), and if the NIC relies on the link for checksums and this
// one, which the link could not check, is wrong ([Stats].BadChecksum). With policy [defrag.Linux]
// the engine hands on some fragments as they are; they go up as well, through
// Filter, and gVisor judges them.
//
// # Offloads
//
// What the lower endpoint says of its offloads holds for the Endpoint. A packet
// that goes up or down untouched keeps its GSOOptions: a large TCP segment stays
// one, and a checksum left out stays out. Fragments have none, nor has what they
// make up, which goes up without GSOOptions.
//
// # ICMPv6 errors
//
// The errors that reassembly owes a source (Time Exceeded and Parameter
// Problem) are built here and written down the link the packet came from, within
// the rules of RFC 4443 section 2.4: see [Options].NoICMPErrors. What is ours,
// and our addresses, the endpoint asks the [gstack.NetworkInterface] above it.
// A dispatcher that is none, such as another endpoint nested on top of this one,
// cannot say; then no error is sent.
//
// # What is not done
//
// IPv4 fragments stay fragments. Packets that gVisor sends, and packet sockets,
// which see the link as it is, do not pass Filter. Nothing is forwarded: a router
// takes packets from [Options].Divert, has [Endpoint.SendError] send its own
// errors, and splits datagrams again by defrag.Refragment.
//
// # Concurrency and life
//
// All methods may be called from many goroutines at once. Packets go up on the
// goroutine that delivered the fragment completing them, and no lock is held
// while a hook, the NIC or the lower endpoint is called.
//
// gVisor detaches an endpoint with the stack's lock held, which the lower
// endpoint's reader may be waiting for; so the lower endpoint is detached by a
// goroutine of our own, which [Endpoint.Close] waits for.
package linkep

import (
	_ "github.com/v6stack/v6stack/defrag" // for the links above
	_ "gvisor.dev/gvisor/pkg/tcpip/stack"
)
