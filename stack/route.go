package stack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
)

// setRoutes gives gVisor's stack of each zone the routes to its links' prefixes
// and those of routes. gVisor puts the longest prefix first.
func (s *Stack) setRoutes(cfg *Config) {
	for _, zone := range s.zones {
		zone.netstack.SetRouteTable(s.gvisorRoutes(zone, cfg))
	}
}

// gvisorRoutes returns the routes of one zone in gVisor's terms. Routes of the
// zone's table that lead to other zones are not among them: our own packets
// stay in their zone.
//
// Where the router is on, a socket may use an address of one link for what goes
// out through another; gVisor allows that only if each route leads through each
// link, too. The port of the link sees to it that such a packet goes the right
// way.
func (s *Stack) gvisorRoutes(zone *Zone, cfg *Config) []tcpip.Route {
	var table, detours []tcpip.Route
	add := func(l *link, route *Route) {
		table = append(table, l.route(route))
		if !cfg.Forward || !isRouted(route.Prefix) {
			return
		}
		for _, other := range s.links {
			if other.zone == zone && other != l {
				detours = append(detours, other.route(&Route{Prefix: route.Prefix}))
			}
		}
	}
	for _, l := range s.links {
		if l.zone != zone {
			continue
		}
		for _, address := range l.addresses() {
			add(l, &Route{Prefix: address.Masked()})
		}
		for i := range cfg.Routes {
			if cfg.Routes[i].Link == l.name && cfg.zoneOf(&cfg.Routes[i]) == zone.name {
				add(l, &cfg.Routes[i])
			}
		}
	}
	return append(table, detours...)
}

// zoneOf returns the name of the zone whose table the route is in.
func (c *Config) zoneOf(route *Route) string {
	switch route.Zone {
	case "":
		return c.link(route.Link).Zone
	case DefaultZone:
		return ""
	}
	return route.Zone
}

// route returns a route through the link in gVisor's terms.
func (l *link) route(route *Route) tcpip.Route {
	r := tcpip.Route{
		Destination: tcpip.AddressWithPrefix{
			Address:   tcpip.AddrFromSlice(route.Prefix.Addr().AsSlice()),
			PrefixLen: route.Prefix.Bits(),
		}.Subnet(),
		NIC: l.nic,
	}
	if route.Gateway.IsValid() {
		r.Gateway = tcpip.AddrFromSlice(route.Gateway.AsSlice())
	}
	return r
}
