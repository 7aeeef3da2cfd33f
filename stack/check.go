package stack

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// minMTU is the least MTU that IPv6 works with (RFC 8200 section 5).
const minMTU = 1280

// normalize returns a copy of c in which the default zone's name is empty. The
// links and zones are copies, too.
func (c Config) normalize() Config {
	c.Links = slices.Clone(c.Links)
	for i := range c.Links {
		c.Links[i].Zone = zoneName(c.Links[i].Zone)
	}
	c.Zones = slices.Clone(c.Zones)
	for i := range c.Zones {
		c.Zones[i].Name = zoneName(c.Zones[i].Name)
	}
	return c
}

// zoneName returns the name by which a zone is kept.
func zoneName(name string) string {
	if name == DefaultZone {
		return ""
	}
	return name
}

// check returns an error that names the first field of c at fault.
func (c *Config) check() error {
	if err := c.Engine.Zone.Check(); err != nil {
		return fmt.Errorf("engine: zone: %w", err)
	}
	if err := checkZones(c.Zones); err != nil {
		return err
	}
	for i := range c.Links {
		if err := c.checkLink(i); err != nil {
			return err
		}
	}
	for i := range c.Routes {
		if err := c.checkRoute(i); err != nil {
			return err
		}
	}
	return c.checkRules()
}

// checkZones refuses a zone that is configured twice.
func checkZones(zones []ZoneConfig) error {
	seen := make(map[string]bool, len(zones))
	for _, zone := range zones {
		if seen[zone.Name] {
			return fmt.Errorf("zone %q: configured twice: want one ZoneConfig a zone", zone.Name)
		}
		seen[zone.Name] = true
		if err := zone.Defrag.Check(); err != nil {
			return fmt.Errorf("zone %q: %w", zone.Name, err)
		}
	}
	return nil
}

// checkLink checks link i by itself and against those before it.
func (c *Config) checkLink(i int) error {
	link := &c.Links[i]
	if link.Name == "" {
		return fmt.Errorf("link %d: Name is empty: every link needs a name", i)
	}
	if link.Endpoint == nil {
		return fmt.Errorf("link %q: Endpoint is nil", link.Name)
	}
	if c.Forward && link.Endpoint.Capabilities()&gstack.CapabilityResolutionRequired != 0 {
		return fmt.Errorf("link %q: Endpoint needs address resolution, as Ethernet does: Forward routes between links without only", link.Name)
	}
	for j := range c.Links[:i] {
		if err := checkPair(&c.Links[j], link); err != nil {
			return err
		}
	}
	for k, address := range link.Addresses {
		if err := c.checkAddress(link, address, link.Addresses[:k]); err != nil {
			return fmt.Errorf("link %q: address %v: %w", link.Name, address, err)
		}
	}
	return nil
}

// checkPair refuses two links that share a name, an endpoint or a prefix.
func checkPair(earlier, link *LinkConfig) error {
	if earlier.Name == link.Name {
		if earlier.Zone != link.Zone {
			return fmt.Errorf("link %q: in zones %q and %q: a link belongs to one zone", link.Name, earlier.Zone, link.Zone)
		}
		return fmt.Errorf("link %q: configured twice: names are unique", link.Name)
	}
	if sameEndpoint(earlier.Endpoint, link.Endpoint) {
		return fmt.Errorf("link %q: Endpoint is that of link %q: every link needs its own", link.Name, earlier.Name)
	}
	if earlier.Zone != link.Zone {
		return nil
	}
	for _, a := range earlier.Addresses {
		for _, b := range link.Addresses {
			if a.Overlaps(b) && !bothLinkLocal(a, b) {
				return fmt.Errorf("link %q: address %v: overlaps %v of link %q in the same zone", link.Name, b, a, earlier.Name)
			}
		}
	}
	return nil
}

// checkAddress checks one address of link against those before it.
func (c *Config) checkAddress(link *LinkConfig, address netip.Prefix, earlier []netip.Prefix) error {
	addr := address.Addr()
	switch {
	case !address.IsValid():
		return fmt.Errorf("invalid: want an address and its prefix length, such as fd00::1/64")
	case addr.Is4In6():
		return fmt.Errorf("IPv4-mapped: want %v", netip.PrefixFrom(addr.Unmap(), max(address.Bits()-96, 0)))
	case addr.IsUnspecified(), addr.IsMulticast():
		return fmt.Errorf("want a unicast address")
	case addr.Is6() && link.Endpoint.MTU() < minMTU:
		return fmt.Errorf("the link's MTU is %d: IPv6 wants at least %d", link.Endpoint.MTU(), minMTU)
	}
	for _, e := range earlier {
		if e.Addr() == addr {
			return fmt.Errorf("configured twice")
		}
	}
	return nil
}

// checkRoute checks route i by itself, against the links and against the
// routes before it.
func (c *Config) checkRoute(i int) error {
	route := &c.Routes[i]
	switch {
	case !route.Prefix.IsValid():
		return fmt.Errorf("route %d: Prefix is invalid: want a prefix such as fd00::/64", i)
	case route.Prefix.Addr().Is4In6():
		return fmt.Errorf("route %v: IPv4-mapped: want an IPv4 prefix", route.Prefix)
	case route.Prefix != route.Prefix.Masked():
		return fmt.Errorf("route %v: bits are set beyond the prefix length: want %v", route.Prefix, route.Prefix.Masked())
	}
	if err := route.checkGateway(); err != nil {
		return err
	}
	link := c.link(route.Link)
	if link == nil {
		return fmt.Errorf("route %v: Link %q is unknown: want the name of a link", route.Prefix, route.Link)
	}
	zone := c.zoneOf(route)
	if err := c.checkCrossing(route, zone, link); err != nil {
		return err
	}
	for j := range c.Routes[:i] {
		if earlier := &c.Routes[j]; earlier.Prefix == route.Prefix && c.zoneOf(earlier) == zone {
			return fmt.Errorf("route %v: configured twice in zone %q", route.Prefix, zone)
		}
	}
	return c.checkOwnPrefixes(route, zone, link)
}

// checkCrossing refuses a route from zone to a link of another one, unless the
// router is on and there are links to come from.
func (c *Config) checkCrossing(route *Route, zone string, link *LinkConfig) error {
	switch {
	case zone == link.Zone:
		return nil
	case !c.Forward:
		return fmt.Errorf("route %v: Zone %q is not that of link %q, which is %q: only with Forward may a route cross", route.Prefix, zone, link.Name, link.Zone)
	case !route.Prefix.Addr().Is6():
		return fmt.Errorf("route %v: Zone %q is not that of link %q, which is %q: only IPv6 is forwarded", route.Prefix, zone, link.Name, link.Zone)
	}
	for i := range c.Links {
		if c.Links[i].Zone == zone {
			return nil
		}
	}
	return fmt.Errorf("route %v: Zone %q has no link: want the name of a zone that a link is in", route.Prefix, zone)
}

// checkOwnPrefixes refuses a route through link to a prefix that another link
// of the route's zone reaches by itself.
func (c *Config) checkOwnPrefixes(route *Route, zone string, link *LinkConfig) error {
	for i := range c.Links {
		other := &c.Links[i]
		if other.Name == link.Name || other.Zone != zone {
			continue
		}
		for _, address := range other.Addresses {
			if address.Masked() == route.Prefix {
				return fmt.Errorf("route %v: Link is %q, but link %q has address %v", route.Prefix, link.Name, other.Name, address)
			}
		}
	}
	return nil
}

// checkGateway refuses a gateway of another family than the prefix.
func (r *Route) checkGateway() error {
	if r.Gateway.IsValid() && r.Gateway.BitLen() != r.Prefix.Addr().BitLen() {
		return fmt.Errorf("route %v: Gateway %v is of another address family", r.Prefix, r.Gateway)
	}
	return nil
}

// link returns the link of that name, or nil.
func (c *Config) link(name string) *LinkConfig {
	for i := range c.Links {
		if c.Links[i].Name == name {
			return &c.Links[i]
		}
	}
	return nil
}

// sameEndpoint reports whether a and b are one endpoint.
func sameEndpoint(a, b gstack.LinkEndpoint) bool {
	return reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

// bothLinkLocal reports whether a and b may stand on several links: every link
// has a link-local prefix of its own (RFC 4007 section 4).
func bothLinkLocal(a, b netip.Prefix) bool {
	return a.Addr().IsLinkLocalUnicast() && b.Addr().IsLinkLocalUnicast() && a.Addr() != b.Addr()
}
