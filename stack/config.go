package stack

import (
	"log/slog"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/stack/filter"
)

// Config is the configuration of a [Stack]. The zero value is a stack without
// links, which can talk to nobody.
type Config struct {
	// Logger is told when links come and go; nil is silent. Nothing is logged
	// for a packet.
	Logger *slog.Logger
	// Clock drives the gVisor stacks and, unless Engine.Clock is set, the
	// engine; nil means the system's.
	Clock tcpip.Clock
	// Forward makes the stack a router: IPv6 packets that are for somebody else
	// go on to the link that a route names. Links that need address resolution
	// (Ethernet) are refused then.
	Forward bool
	// Links of all zones. Names are unique, also between zones.
	Links []LinkConfig
	// Routes besides those to the links' own prefixes, which exist by
	// themselves. The longest prefix wins.
	Routes []Route
	// Rules judge what is forwarded, in order: the first that matches decides.
	// Without a match packets stay in their zone. Only with Forward may there be
	// any.
	Rules []filter.Rule
	// MaxFlows is how many flows the rules keep track of at most, as
	// filter.Config has it.
	MaxFlows int
	// Zones to configure. The default zone, whose name is empty, and those
	// that links name exist by themselves.
	Zones []ZoneConfig
	// Engine configures reassembly: the budget of all zones together, and what
	// each zone has unless Zones says otherwise.
	Engine defrag.Config
}

// DefaultZone names the default zone wherever a zone is named, also where an
// empty name stands for something else.
const DefaultZone = "default"

// LinkConfig is the configuration of one link.
type LinkConfig struct {
	// Name of the link in routes, statistics and scoped addresses; required.
	Name string
	// Endpoint carries the packets; required. The stack attaches it, and
	// closes it when the stack closes.
	Endpoint gstack.LinkEndpoint
	// Zone the link belongs to; empty or [DefaultZone] is the default zone.
	Zone string
	// Addresses of the stack on the link, each with the length of the prefix
	// that is reached through it. IPv4-mapped addresses are refused; so are an
	// address that the zone has twice and a prefix that overlaps one of
	// another link in the zone, unless both are link-local.
	Addresses []netip.Prefix
	// NoICMPErrors keeps reassembly from sending ICMPv6 errors.
	NoICMPErrors bool
	// Filter is called with every inbound packet, whole; false drops it. The
	// packet is borrowed for the call. It may be a large segment, see
	// linkep.Options.
	Filter func(*gstack.PacketBuffer) bool
	// CheckSource has the router drop packets whose source is not reached
	// through the link they come from. Nil means that it does so on links with
	// an IPv6 address that is not link-local.
	CheckSource *bool
	// OnDatagram is called with each reassembled datagram, before Filter. Both
	// arguments are borrowed for the call.
	OnDatagram func(*gstack.PacketBuffer, *defrag.Datagram)
	// OnDrop is called for each packet that reassembly drops; the argument is
	// borrowed for the call.
	OnDrop func(*defrag.Drop)
	// Close is called once when the stack closes, after Endpoint was detached;
	// a tun.Device's Close belongs here. If [New] fails it is not called.
	Close func() error
}

// A Route sends a prefix through a link.
type Route struct {
	// Prefix of the destinations; bits beyond its length are zero.
	Prefix netip.Prefix
	// Link is the name of the link.
	Link string
	// Zone is the zone in which the route holds; empty stands for the link's,
	// [DefaultZone] for the default zone. A route in another zone than the
	// link's crosses: the router takes packets from zone to zone by it where a
	// rule allows that, and only with Config.Forward may there be one.
	Zone string
	// Gateway is the next hop, of Prefix's family; the zero value means that
	// destinations are reached directly, as on a TUN device.
	Gateway netip.Addr
}

// ZoneConfig is the configuration of one zone.
type ZoneConfig struct {
	// Name of the zone; the default zone's is empty or [DefaultZone].
	Name string
	// Defrag is how the zone reassembles; the zero value stands for the
	// Engine.Zone of [Config].
	Defrag defrag.ZoneConfig
}
