package config

import (
	"net/netip"
	"strings"

	"github.com/v6stack/v6stack/stack"
)

// addRoutes adds the routes.
func (b *builder) addRoutes() {
	places := make(map[stack.Route]string) // by prefix and zone
	for i := range b.document.Routes {
		table := element("route", i)
		route, ok := b.route(table, &b.document.Routes[i])
		if !ok {
			continue
		}
		b.checkOwnPrefixes(table, &route)
		same := stack.Route{Prefix: route.Prefix, Zone: route.Zone}
		if earlier, twice := places[same]; twice {
			b.refuse(table+".to", "overlaps the route of line %d in zone %q", b.places[earlier].line, route.Zone)
			continue
		}
		places[same] = table + ".to"
		b.config.Stack.Routes = append(b.config.Stack.Routes, route)
	}
}

// route returns the route of a table; ok is false if it was refused.
func (b *builder) route(table string, keys *routeTable) (route stack.Route, ok bool) {
	ok = true
	route = stack.Route{Link: keys.Link, Zone: stack.DefaultZone}
	if path := table + ".to"; !b.has(path) {
		b.missing(table, "to")
		ok = false
	} else if route.Prefix, ok = b.prefix(path, keys.To); ok && !isForwarded(route.Prefix) {
		b.refuse(path, "packets to link-local and multicast addresses are not forwarded: want another prefix")
		ok = false
	}
	if path := table + ".link"; !b.has(path) {
		b.missing(table, "link")
		ok = false
	} else if b.link(keys.Link) == nil {
		b.refuse(path, "no such link: want one of %s", b.linkNames())
		ok = false
	}
	if path := table + ".zone"; b.has(path) {
		route.Zone = keys.Zone
		if b.zone(keys.Zone) == nil {
			b.refuse(path, "no such zone: want one of %s", b.zoneNames())
			return route, false
		}
	}
	return route, b.checkCrossing(table, &route) && ok
}

// isForwarded reports whether destinations in the prefix are forwarded.
func isForwarded(prefix netip.Prefix) bool {
	return !prefix.Addr().IsLinkLocalUnicast() && !prefix.Addr().IsMulticast()
}

// checkCrossing reports whether packets can come to take the route: a link is
// in its zone.
func (b *builder) checkCrossing(table string, route *stack.Route) bool {
	for i := range b.config.Stack.Links {
		if b.config.Stack.Links[i].Zone == route.Zone {
			return true
		}
	}
	if path := table + ".zone"; b.has(path) {
		b.refuse(path, "no link is in the zone, so nothing takes the route")
	} else {
		b.add(b.places[table], "[[route]]: zone is missing, and no link is in zone \"default\": want one of "+b.zoneNames())
	}
	return false
}

// checkOwnPrefixes refuses a route to the prefix that another link of its zone
// has addresses in.
func (b *builder) checkOwnPrefixes(table string, route *stack.Route) {
	for i := range b.config.Stack.Links {
		link := &b.config.Stack.Links[i]
		if link.Name == route.Link || link.Zone != route.Zone {
			continue
		}
		for _, address := range link.Addresses {
			if address.Masked() == route.Prefix {
				b.refuse(table+".to", "overlaps address %v of link %q in zone %q", address, link.Name, link.Zone)
				return
			}
		}
	}
}

// linkNames returns the names of the links, for messages.
func (b *builder) linkNames() string {
	var names []string
	for i := range b.config.Stack.Links {
		names = append(names, b.config.Stack.Links[i].Name)
	}
	return strings.Join(names, ", ")
}

// zoneNames returns the names of the zones, for messages.
func (b *builder) zoneNames() string {
	var names []string
	for i := range b.config.Stack.Zones {
		names = append(names, b.config.Stack.Zones[i].Name)
	}
	return strings.Join(names, ", ")
}
