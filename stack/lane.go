package stack

import (
	"net/netip"

	"github.com/gaissmai/bart"
	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/v6stack/v6stack/stack/filter"
)

// A lane is what the router goes by for the packets that come from one link.
// It is not changed once packets see it; a new configuration is a new lane, so
// that a packet goes by one configuration throughout.
type lane struct {
	forward     bool
	checkSource bool
	table       *routeTable
	tables      map[*Zone]*routeTable // of all zones, for routes that cross
	filter      *filter.Filter        // nil while there were never rules
	errorSource tcpip.Address         // empty: the destination of what failed
}

// A routeTable holds the routes of one zone, and its addresses as routes of
// full length.
type routeTable = bart.Fast[hop]

// A hop is where a route leads.
type hop struct {
	link *link
	kind hopKind
}

// A hopKind says what a hop's link is to the destination.
type hopKind uint8

const (
	// beyond the link is the destination.
	beyond hopKind = iota
	// neighbor is the destination, on the link.
	neighbor
	// ours is the destination, an address on the link.
	ours
)

// setLanes has the router go by cfg from now on.
func (s *Stack) setLanes(cfg *Config) {
	tables := s.newTables(cfg)
	for _, l := range s.links {
		l.lane.Store(&lane{
			forward:     cfg.Forward,
			checkSource: cfg.link(l.name).checksSource(),
			table:       tables[l.zone],
			tables:      tables,
			filter:      s.filter,
			errorSource: s.errorSource(l),
		})
	}
}

// newTables returns the tables of all zones: first the links' prefixes, then
// the routes, and our addresses, which no route may hide.
func (s *Stack) newTables(cfg *Config) map[*Zone]*routeTable {
	tables := make(map[*Zone]*routeTable, len(s.zones))
	for _, zone := range s.zones {
		tables[zone] = new(routeTable)
	}
	byName := make(map[string]*link, len(s.links))
	for _, l := range s.links {
		byName[l.name] = l
		for _, address := range l.addresses() {
			if isRouted(address) {
				tables[l.zone].Insert(address.Masked(), hop{l, neighbor})
			}
		}
	}
	for i := range cfg.Routes {
		if route := &cfg.Routes[i]; isRouted(route.Prefix) {
			zone := s.byName[cfg.zoneOf(route)]
			tables[zone].Insert(route.Prefix, hop{byName[route.Link], beyond})
		}
	}
	for _, l := range s.links {
		for _, address := range l.addresses() {
			if isRouted(address) {
				addr := address.Addr()
				tables[l.zone].Insert(netip.PrefixFrom(addr, addr.BitLen()), hop{l, ours})
			}
		}
	}
	return tables
}

// isRouted reports whether the router knows destinations like this: IPv6, and
// not of one link only.
func isRouted(prefix netip.Prefix) bool {
	return prefix.Addr().Is6() && !prefix.Addr().IsLinkLocalUnicast()
}

// errorSource returns the address that errors about packets from l are sent
// from: one of the link's, else one of another link of the zone, else a
// link-local one. It is empty if there is none.
func (s *Stack) errorSource(l *link) tcpip.Address {
	if address, ok := l.globalAddress(); ok {
		return addressOf(address)
	}
	for _, other := range s.links {
		if other.zone != l.zone {
			continue
		}
		if address, ok := other.globalAddress(); ok {
			return addressOf(address)
		}
	}
	for _, address := range l.addresses() {
		if address.Addr().Is6() {
			return addressOf(address.Addr())
		}
	}
	return tcpip.Address{}
}

// globalAddress returns the first address of the link that others may know.
func (l *link) globalAddress() (address netip.Addr, ok bool) {
	return globalAddress(l.addresses())
}

// globalAddress returns the first of the addresses that is IPv6 and not of one
// link only.
func globalAddress(addresses []netip.Prefix) (address netip.Addr, ok bool) {
	for _, prefix := range addresses {
		if isRouted(prefix) {
			return prefix.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// checksSource reports whether sources that are reached through another link
// are refused.
func (cfg *LinkConfig) checksSource() bool {
	if cfg.CheckSource != nil {
		return *cfg.CheckSource
	}
	_, declared := globalAddress(cfg.Addresses)
	return declared
}
