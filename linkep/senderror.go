package linkep

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// An Error is an ICMPv6 error that a router owes the source of a packet. It is
// a plain value; the zero value is no valid error.
type Error struct {
	// Type and Code as in RFC 4443 section 3.
	Type header.ICMPv6Type
	Code header.ICMPv6Code
	// Value is the MTU of a Packet Too Big, the pointer of a Parameter Problem,
	// and 0 otherwise.
	Value uint32
	// Source is the router's address that the error is sent from, a unicast
	// address. If it is empty, it is the cause's destination.
	Source tcpip.Address
}

// SendError writes an ICMPv6 error about cause, a packet that came from this
// link, starting with its IPv6 header, to where it came from. Of a large TCP
// segment cause is the first of the packets that it stands for, since nobody
// knows the large one. Unlike for the
// errors of reassembly, cause may be on its way to somebody else, and
// [Options].NoICMPErrors does not matter; the caller does not ask for it where
// cause claims to come from one of our own addresses. What became of the error
// is counted in [Stats]: RFC 4443 section 2.4(e) may forbid it, and it is
// limited together with the others. The endpoint is attached, or nothing is
// sent. cause is borrowed for the call.
func (e *Endpoint) SendError(cause *buffer.Buffer, owed Error) {
	c, ok := parseCause(cause)
	if owed.Source.Len() == 0 {
		owed.Source = c.destination
	}
	switch {
	case !ok || !c.mayAnswer(owed.Source) || !e.mayWrite():
		e.counters.errorsSuppressed.Add(1)
	case !e.allow():
		e.counters.errorsLimited.Add(1)
	case !e.sending.enter():
		e.counters.errorsSuppressed.Add(1)
	default:
		defer e.sending.leave()
		e.count(e.write(e.newError(cause, &owed, &c, owed.Source)))
	}
}

// mayAnswer reports whether an error about c may be sent from source.
func (c *cause) mayAnswer(source tcpip.Address) bool {
	return !c.isError && isHost(c.source) && isHost(source) && source != c.source
}

// mayWrite reports whether the link can carry an error of a router: the
// neighbor needs no link address.
func (e *Endpoint) mayWrite() bool {
	return e.IsAttached() && e.lower.Capabilities()&gstack.CapabilityResolutionRequired == 0
}
