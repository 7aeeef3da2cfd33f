package stack

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/linkep"
)

// A link is one link of a zone: a NIC of the zone's gVisor stack over a port
// over a reassembling endpoint over the configured one.
type link struct {
	name        string
	zone        *Zone
	nic         tcpip.NICID
	lower       gstack.LinkEndpoint // as configured
	endpoint    *linkep.Endpoint
	port        *port
	prefixes    atomic.Pointer[[]netip.Prefix] // of addresses
	closeDevice func() error                   // nil if there is nothing to close
	logger      *slog.Logger
	clock       tcpip.Clock

	// lane is what the router goes by; nil while there is no configuration.
	lane     atomic.Pointer[lane]
	counters counters
	down     atomic.Bool
}

// newLink makes a link, disabled, with its addresses.
func (s *Stack) newLink(cfg *LinkConfig, zone *Zone) (*link, error) {
	s.lastNIC++
	l := &link{
		name:        cfg.Name,
		zone:        zone,
		nic:         s.lastNIC,
		lower:       cfg.Endpoint,
		closeDevice: cfg.Close,
		logger:      s.logger,
		clock:       s.clock,
	}
	endpoint, err := linkep.New(cfg.Endpoint, linkep.Options{
		Engine:       s.engine,
		Zone:         zone.id,
		NoICMPErrors: cfg.NoICMPErrors,
		Filter:       cfg.Filter,
		Divert:       l.divert,
		Transit:      l.transitSource,
		OnDatagram:   cfg.OnDatagram,
		OnDrop:       cfg.OnDrop,
		Stack:        zone.netstack,
	})
	if err != nil {
		return nil, err
	}
	l.endpoint = endpoint
	l.port = &port{Endpoint: endpoint, link: l}
	// It gets its name when packets may flow: until then another may have it.
	if err := zone.netstack.CreateNICWithOptions(l.nic, l.port, gstack.NICOptions{Disabled: true}); err != nil {
		endpoint.Close()
		return nil, fmt.Errorf("create NIC: %v", err)
	}
	for _, address := range cfg.Addresses {
		if err := l.addAddress(address); err != nil {
			l.closeDevice = nil
			return nil, errors.Join(err, l.remove())
		}
	}
	return l, nil
}

// addAddress gives the NIC an address.
func (l *link) addAddress(address netip.Prefix) error {
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
	addresses := append(slices.Clone(l.addresses()), address)
	l.prefixes.Store(&addresses)
	return nil
}

// removeAddress takes an address from the NIC.
func (l *link) removeAddress(address netip.Prefix) error {
	err := l.zone.netstack.RemoveAddress(l.nic, tcpip.AddrFromSlice(address.Addr().AsSlice()))
	if err != nil {
		return fmt.Errorf("remove address %v: %v", address, err)
	}
	addresses := slices.DeleteFunc(slices.Clone(l.addresses()), func(a netip.Prefix) bool { return a == address })
	l.prefixes.Store(&addresses)
	return nil
}

// addresses returns the stack's addresses on the link, borrowed.
func (l *link) addresses() []netip.Prefix {
	if addresses := l.prefixes.Load(); addresses != nil {
		return *addresses
	}
	return nil
}

// enable lets packets flow.
func (l *link) enable() error {
	if err := l.zone.netstack.SetNICName(l.nic, l.name); err != nil {
		return fmt.Errorf("link %q: name: %v", l.name, err)
	}
	if err := l.zone.netstack.EnableNIC(l.nic); err != nil {
		return fmt.Errorf("link %q: enable: %v", l.name, err)
	}
	l.logger.Info("link added", "link", l.name, "zone", l.zone.name, "mtu", l.endpoint.MTU(), "addresses", l.addresses())
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
