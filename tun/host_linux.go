package tun

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The kernel makes the local route of an IPv6 address in a worker. It takes a
// moment; the limit is for a kernel that never does it.
const (
	localRouteInterval = time.Millisecond
	localRouteLimit    = 30 * time.Second
)

// A host is the host's side of a device, set through netlink.
type host struct {
	netlink *netlink.Handle
	link    netlink.Link
}

// setHost gives the interface called name, in the namespace of the current
// thread, the MTU, addresses and routes of cfg, and sets it up. What was set
// before an error goes away with the interface.
func setHost(name string, cfg Config) error {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer handle.Close()
	link, err := handle.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	h := host{handle, link}
	if err := h.setMTU(cfg.MTU); err != nil {
		return err
	}
	if err := h.setQueueLength(); err != nil {
		return err
	}
	if err := h.addAddresses(cfg.HostAddresses); err != nil {
		return err
	}
	if err := h.setUp(); err != nil {
		return err
	}
	if err := h.awaitLocalRoutes(cfg.HostAddresses); err != nil {
		return err
	}
	return h.addRoutes(cfg.HostRoutes)
}

// setMTU does nothing where there is nothing to change: a persistent device
// may be another user's to change.
func (h *host) setMTU(mtu int) error {
	if h.link.Attrs().MTU == mtu {
		return nil
	}
	if err := h.netlink.LinkSetMTU(h.link, mtu); err != nil {
		return fmt.Errorf("set MTU %d: %w", mtu, err)
	}
	return nil
}

// queueLength is how many packets the host may hold for each queue of a device.
// The kernel drops what is more, and of its default, 500, ten datagrams of
// 65,000 octets take 450.
const queueLength = 2048

// setQueueLength leaves a persistent device as its owner wants it.
func (h *host) setQueueLength() error {
	tuntap, ok := h.link.(*netlink.Tuntap)
	if !ok || !tuntap.NonPersist {
		return nil
	}
	if err := h.netlink.LinkSetTxQLen(h.link, queueLength); err != nil {
		return fmt.Errorf("set queue length %d: %w", queueLength, err)
	}
	return nil
}

// setUp does nothing if the interface is up, like setMTU.
func (h *host) setUp() error {
	if h.link.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	if err := h.netlink.LinkSetUp(h.link); err != nil {
		return fmt.Errorf("set interface up: %w", err)
	}
	return nil
}

func (h *host) addAddresses(addresses []netip.Prefix) error {
	for _, p := range addresses {
		address := &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}
		if err := h.netlink.AddrAdd(h.link, address); err != nil {
			return fmt.Errorf("add host address %v: %w", p, err)
		}
	}
	return nil
}

func (h *host) addRoutes(routes []netip.Prefix) error {
	for _, p := range routes {
		route := &netlink.Route{LinkIndex: h.link.Attrs().Index, Dst: ipNet(p.Masked())}
		if err := h.netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("add host route %v: %w", p, err)
		}
	}
	return nil
}

// awaitLocalRoutes waits until the kernel takes packets to the addresses for
// its own.
func (h *host) awaitLocalRoutes(addresses []netip.Prefix) error {
	missing := make(map[netip.Addr]bool)
	for _, p := range addresses {
		if p.Addr().Is6() {
			missing[p.Addr()] = true
		}
	}
	for deadline := time.Now().Add(localRouteLimit); len(missing) > 0; time.Sleep(localRouteInterval) {
		if err := h.strikeLocalRoutes(missing); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("host addresses: %d did not come up within %v", len(missing), localRouteLimit)
		}
	}
	return nil
}

// strikeLocalRoutes removes from missing the addresses that have a local route.
func (h *host) strikeLocalRoutes(missing map[netip.Addr]bool) error {
	local := &netlink.Route{Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL}
	err := h.netlink.RouteListFilteredIter(netlink.FAMILY_V6, local, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE,
		func(r netlink.Route) bool {
			if r.Dst != nil {
				address, _ := netip.AddrFromSlice(r.Dst.IP)
				delete(missing, address)
			}
			return true
		})
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil // The next listing will tell.
	}
	if err != nil {
		return fmt.Errorf("list local routes: %w", err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{
		IP:   p.Addr().AsSlice(),
		Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}
}
