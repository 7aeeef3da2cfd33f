package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/linkep"
)

// A link is one link of a zone: a NIC of the zone's gVisor stack over a
// reassembling endpoint over the configured one.
type link struct {
	name        string
	zone        *Zone
	nic         tcpip.NICID
	endpoint    *linkep.Endpoint
	addresses   []netip.Prefix
	closeDevice func() error // nil if there is nothing to close
}

// addLink makes a link, disabled, with its addresses.
func (s *Stack) addLink(cfg *LinkConfig, clock tcpip.Clock) error {
	if err := s.addZone(cfg.Zone, clock); err != nil {
		return err
	}
	zone := s.byName[cfg.Zone]
	endpoint, err := linkep.New(cfg.Endpoint, linkep.Options{
		Engine:       s.engine,
		Zone:         zone.id,
		NoICMPErrors: cfg.NoICMPErrors,
		Filter:       cfg.Filter,
		OnDatagram:   cfg.OnDatagram,
		OnDrop:       cfg.OnDrop,
		Stack:        zone.netstack,
	})
	if err != nil {
		return err
	}
	l := &link{
		name:        cfg.Name,
		zone:        zone,
		nic:         tcpip.NICID(len(s.links) + 1),
		endpoint:    endpoint,
		addresses:   slices.Clone(cfg.Addresses),
		closeDevice: cfg.Close,
	}
	options := gstack.NICOptions{Name: cfg.Name, Disabled: true}
	if err := zone.netstack.CreateNICWithOptions(l.nic, endpoint, options); err != nil {
		return fmt.Errorf("create NIC: %v", err)
	}
	s.links = append(s.links, l)
	return l.addAddresses()
}

// addAddresses gives the NIC its addresses.
func (l *link) addAddresses() error {
	for _, address := range l.addresses {
		protocol := tcpip.NetworkProtocolNumber(ipv6.ProtocolNumber)
		if address.Addr().Is4() {
			protocol = ipv4.ProtocolNumber
		}
		err := l.zone.netstack.AddProtocolAddress(l.nic, tcpip.ProtocolAddress{
			Protocol: protocol,
			AddressWithPrefix: tcpip.AddressWithPrefix{
				Address:   tcpip.AddrFromSlice(address.Addr().AsSlice()),
				PrefixLen: address.Bits(),
			},
		}, gstack.AddressProperties{})
		if err != nil {
			return fmt.Errorf("add address %v: %v", address, err)
		}
	}
	return nil
}

// enableLinks lets packets flow on all links.
func (s *Stack) enableLinks() error {
	for _, l := range s.links {
		if err := l.zone.netstack.EnableNIC(l.nic); err != nil {
			return fmt.Errorf("link %q: enable: %v", l.name, err)
		}
		s.logger.Info("link added", "link", l.name, "zone", l.zone.name, "mtu", l.endpoint.MTU(), "addresses", l.addresses)
	}
	return nil
}

// remove detaches the link, closes its device and waits until no packet is on
// its way up. gVisor's stack would wait for the endpoint with its lock held,
// which whoever delivers may need; here no lock is.
func (l *link) remove() error {
	var errs []error
	if err := l.zone.netstack.RemoveNIC(l.nic); err != nil {
		// The endpoint closed by itself and took its NIC with it.
		l.endpoint.Close()
	}
	if l.closeDevice != nil {
		errs = append(errs, l.closeDevice())
	}
	l.endpoint.Wait()
	return errors.Join(errs...)
}

// setRoutes gives each zone the routes to its links' prefixes and those of
// routes. gVisor puts the longest prefix first.
func (s *Stack) setRoutes(routes []Route) {
	for _, zone := range s.zones {
		var table []tcpip.Route
		for _, l := range s.links {
			if l.zone != zone {
				continue
			}
			for _, address := range l.addresses {
				table = append(table, l.route(&Route{Prefix: address.Masked()}))
			}
			for i := range routes {
				if routes[i].Link == l.name {
					table = append(table, l.route(&routes[i]))
				}
			}
		}
		zone.netstack.SetRouteTable(table)
	}
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
