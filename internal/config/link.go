package config

import (
	"net/netip"

	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// addLinks adds the links and their devices.
func (b *builder) addLinks() {
	if len(b.document.Links) == 0 {
		b.add(b.places[""], "[[link]] is missing: want at least one")
	}
	for i := range b.document.Links {
		b.addLink(element("link", i), &b.document.Links[i])
	}
}

// addLink adds one link, also one at fault, so that routes and rules find it.
func (b *builder) addLink(table string, keys *linkTable) {
	link := stack.LinkConfig{Name: keys.Name, Zone: stack.DefaultZone, CheckSource: keys.CheckSource}
	device := tun.Config{Name: keys.Name, NetNS: keys.NetNS, MTU: tun.DefaultMTU}
	b.checkLinkName(table, keys.Name)
	if path := table + ".netns"; b.has(path) && (keys.NetNS == "" || keys.NetNS == "." || keys.NetNS == "..") {
		b.unwanted(path)
	}
	if path := table + ".mtu"; b.has(path) {
		device.MTU = b.number(path, keys.MTU, tun.MinMTU, tun.MaxMTU)
	}
	b.addMeans(table, keys, &device)
	if path := table + ".zone"; b.has(path) {
		if link.Zone = keys.Zone; !isLabel(keys.Zone) {
			b.unwanted(path)
		}
	}
	if path := table + ".icmp_errors"; b.has(path) {
		link.NoICMPErrors = !keys.ICMPErrors
	}
	for i, text := range keys.Addresses {
		path := element(table+".addresses", i)
		if address, ok := b.address(path, text); ok && b.checkAddress(path, &link, address) {
			link.Addresses = append(link.Addresses, address)
		}
	}
	b.addHost(table, keys, &device, link.Addresses)
	b.config.Stack.Links = append(b.config.Stack.Links, link)
	b.config.TUNs = append(b.config.TUNs, device)
}

// addMeans adds by what means a link's device is opened.
func (b *builder) addMeans(table string, keys *linkTable, device *tun.Config) {
	if path := table + ".backend"; b.has(path) {
		device.Backend = b.backend(path, keys.Backend)
	}
	if path := table + ".offload"; b.has(path) {
		device.NoOffload = !keys.Offload
	}
	if path := table + ".queues"; b.has(path) {
		device.Queues = b.number(path, keys.Queues, 0, tun.MaxQueues)
		if device.Queues > 1 && device.Queues <= tun.MaxQueues && device.Backend == tun.Water {
			b.refuse(path, "backend %v has one: want 0 or 1, or another backend", device.Backend)
		}
	}
}

func (b *builder) checkLinkName(table, name string) {
	path := table + ".name"
	switch {
	case !b.has(path):
		b.missing(table, "name")
	case !isName(name):
		b.unwanted(path)
	}
	for i := range b.config.Stack.Links {
		if b.config.Stack.Links[i].Name == name && name != "" {
			b.refuse(path, "the name of the link of line %d: names are unique", b.places[element("link", i)+".name"].line)
			return
		}
	}
}

// checkAddress reports whether an address goes with those before it.
func (b *builder) checkAddress(path string, link *stack.LinkConfig, address netip.Prefix) bool {
	for _, earlier := range link.Addresses {
		if earlier.Addr() == address.Addr() {
			b.refuse(path, "the link has it twice")
			return false
		}
	}
	for i := range b.config.Stack.Links {
		other := &b.config.Stack.Links[i]
		if other.Zone != link.Zone {
			continue
		}
		for _, earlier := range other.Addresses {
			if earlier.Overlaps(address) && (!bothLinkLocal(earlier, address) || earlier.Addr() == address.Addr()) {
				b.refuse(path, "overlaps %v of link %q in the same zone", earlier, other.Name)
				return false
			}
		}
	}
	return true
}

// bothLinkLocal reports whether both are link-local: every link has such a
// prefix.
func bothLinkLocal(a, b netip.Prefix) bool {
	return a.Addr().IsLinkLocalUnicast() && b.Addr().IsLinkLocalUnicast()
}

// addHost adds the host's side of a link with those addresses.
func (b *builder) addHost(table string, keys *linkTable, device *tun.Config, addresses []netip.Prefix) {
	for i, text := range keys.HostAddresses {
		path := element(table+".host_addresses", i)
		if address, ok := b.address(path, text); ok && b.checkHostAddress(path, device, address, addresses) {
			device.HostAddresses = append(device.HostAddresses, address)
		}
	}
	for i, text := range keys.HostRoutes {
		path := element(table+".host_routes", i)
		if prefix, ok := b.prefix(path, text); ok && b.checkHostRoute(path, device, prefix) {
			device.HostRoutes = append(device.HostRoutes, prefix)
		}
	}
}

// checkHostAddress reports whether an address of the host's side goes with the
// stack's and with those before it.
func (b *builder) checkHostAddress(path string, device *tun.Config, address netip.Prefix, addresses []netip.Prefix) bool {
	for _, ours := range addresses {
		if ours.Addr() == address.Addr() {
			b.refuse(path, "the stack's address on the link: want another one for the host")
			return false
		}
	}
	for _, earlier := range device.HostAddresses {
		if earlier.Addr() == address.Addr() {
			b.refuse(path, "the link has it twice")
			return false
		}
	}
	for i := range b.config.TUNs {
		other := &b.config.TUNs[i]
		for _, earlier := range other.HostAddresses {
			if other.NetNS == device.NetNS && earlier.Addr() == address.Addr() && !bothLinkLocal(earlier, address) {
				b.refuse(path, "a host address of link %q in the same network namespace", other.Name)
				return false
			}
		}
	}
	return true
}

// checkHostRoute reports whether a route of the host's side goes with those
// before it.
func (b *builder) checkHostRoute(path string, device *tun.Config, prefix netip.Prefix) bool {
	for _, earlier := range device.HostRoutes {
		if earlier == prefix {
			b.refuse(path, "the link has it twice")
			return false
		}
	}
	for i := range b.config.TUNs {
		other := &b.config.TUNs[i]
		for _, earlier := range other.HostRoutes {
			if other.NetNS == device.NetNS && earlier == prefix {
				b.refuse(path, "a host route of link %q in the same network namespace", other.Name)
				return false
			}
		}
	}
	return true
}
