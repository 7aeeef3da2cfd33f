package linkep

import (
	"errors"
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
)

// Options configure an [Endpoint]. The zero value works: an engine of the
// endpoint's own with its defaults, zone 0, ICMPv6 errors on.
//
// Hooks run on the goroutine that delivers a packet, or on a timer's, several
// at once, with no lock held. They must not call [Endpoint.Close].
type Options struct {
	// Engine gathers the fragments. It may be shared between endpoints and
	// outlives them. If nil, the endpoint makes one from EngineConfig and
	// closes it when it is closed itself.
	Engine *defrag.Engine
	// EngineConfig configures the endpoint's own engine; with a shared Engine
	// only its Clock is used, for the rate limit of ICMPv6 errors. A nil Clock
	// is the system's.
	EngineConfig defrag.Config
	// Zone of every packet, unless ZoneOf says otherwise.
	Zone defrag.Zone
	// ZoneOf, unless nil, tells the zone of a fragment, such as that of the VPN
	// peer it came from. The packet is borrowed for the call and may not be
	// changed.
	ZoneOf func(*gstack.PacketBuffer) defrag.Zone
	// NoICMPErrors keeps the ICMPv6 errors that reassembly owes from being
	// sent.
	NoICMPErrors bool
	// Filter, unless nil, sees every inbound packet of any protocol whole:
	// packets that came so, and reassembled datagrams in place of their
	// fragments. False drops the packet. It is borrowed for the call; its
	// NetworkProtocolNumber is set, its Data starts with the network header.
	// A link with offloads may hand up consecutive TCP segments as one large
	// one, which the packet's GSOOptions then say: its headers are those of each
	// segment, sequence number, length and checksum apart.
	Filter func(*gstack.PacketBuffer) bool
	// OnDatagram, unless nil, sees each reassembled datagram, atomic fragments
	// included, before Filter does. Both arguments are borrowed for the call.
	OnDatagram func(*gstack.PacketBuffer, *defrag.Datagram)
	// Divert, unless nil, sees what Filter let pass, of any protocol: the place
	// of a router. True says that the packet is taken care of and does not go
	// up. The datagram describes a packet that was reassembled, atomic fragments
	// included, and is nil for one that came whole. Both are borrowed for the
	// call; of the packet, what holds for Filter does here.
	Divert func(*gstack.PacketBuffer, *defrag.Datagram) bool
	// Transit, unless nil, is asked about a fragment that reassembly owes an
	// ICMPv6 error for and that is not for one of the NIC's addresses: whether
	// it would have been forwarded, and from which of our addresses the error
	// goes out, the destination's own if that is ours. Otherwise there is no
	// error for it, unless the NIC is promiscuous.
	Transit func(source, destination tcpip.Address) (from tcpip.Address, ok bool)
	// OnDrop, unless nil, is told of each packet that the engine drops, after
	// an ICMPv6 error went out. The argument is borrowed for the call.
	OnDrop func(*defrag.Drop)
	// Stack, unless nil, lends its limiter of ICMP messages. Without it the
	// endpoint has one of its own with the same figures: 1,000 a second, 50 at
	// once.
	Stack *gstack.Stack
}

// limiter says whether one more ICMPv6 error may be sent now.
type limiter func() bool

// limiter returns the stack's limiter, or a new one (RFC 4443 section 2.4(f)).
func (o *Options) limiter() limiter {
	if o.Stack != nil {
		return o.Stack.AllowICMPMessage
	}
	clock := o.EngineConfig.Clock
	if clock == nil {
		clock = tcpip.NewStdClock()
	}
	return gstack.NewICMPRateLimiter(clock).Allow
}

// engine returns the engine to use and whether it is the endpoint's own.
func (o *Options) engine() (engine *defrag.Engine, own bool, err error) {
	if o.Engine != nil {
		return o.Engine, false, nil
	}
	engine, err = defrag.New(o.EngineConfig)
	if err != nil {
		return nil, false, fmt.Errorf("engine configuration: %w", err)
	}
	return engine, true, nil
}

var errNoLower = errors.New("lower endpoint: nil, want a link endpoint to wrap")
