package stack

import (
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
)

// A Zone is a part of a [Stack] with its own links, addresses, routes, sockets
// and reassembly state. All methods may be called from many goroutines at
// once.
type Zone struct {
	name     string
	id       defrag.Zone
	netstack *gstack.Stack
	life     *lifetime
	paths    paths
}

// Name returns the zone's name; the default zone's is empty.
func (z *Zone) Name() string { return z.name }

// ID returns the zone's number in the engine, as statistics and datagrams name
// it.
func (z *Zone) ID() defrag.Zone { return z.id }

// Netstack returns the gVisor stack underneath, for what this package does not
// offer. It is borrowed: [Stack.Close] ends it. Its NICs are the zone's links,
// under their names. Forwarding stays off: gVisor's Packet Too Big names MTU
// 0, and it panics on errors of a link that goes down.
func (z *Zone) Netstack() *gstack.Stack { return z.netstack }

// abort ends all sockets of the zone, while its links can still carry the
// resets.
func (z *Zone) abort() {
	for _, endpoint := range z.netstack.RegisteredEndpoints() {
		endpoint.Abort()
	}
}

// destroy ends the gVisor stack and waits for it. No link may be left:
// gVisor would wait for it with the stack's lock held.
func (z *Zone) destroy() {
	// The pause lets TCP's workers finish the segments that were on the way
	// when the links went.
	z.netstack.Pause()
	z.netstack.Resume()
	z.netstack.Destroy()
}
