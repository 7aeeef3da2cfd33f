package tunbench

import (
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// setHost gives the device's interface its MTU and hostPrefix, sets it up, and
// waits until the kernel takes packets to the address for its own.
func setHost(b *testing.B) {
	b.Helper()
	link := hostLink(b)
	address := &netlink.Addr{
		IPNet: &net.IPNet{IP: hostPrefix.Addr().AsSlice(), Mask: net.CIDRMask(hostPrefix.Bits(), 128)},
		Flags: unix.IFA_F_NODAD,
	}
	for _, set := range []func() error{
		func() error { return netlink.LinkSetMTU(link, mtu) },
		func() error { return netlink.AddrAdd(link, address) },
		func() error { return netlink.LinkSetUp(link) },
	} {
		if err := set(); err != nil {
			b.Fatalf("set up %s: %v", interfaceName, err)
		}
	}
	for deadline := time.Now().Add(patience); !isLocal(address.IP); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%v did not come up within %v", address.IP, patience)
		}
	}
}

// isLocal reports whether the kernel takes packets to address for its own.
func isLocal(address net.IP) bool {
	routes, err := netlink.RouteGet(address)
	return err == nil && len(routes) == 1 && routes[0].Type == unix.RTN_LOCAL
}

// hostLink returns the device's interface.
func hostLink(b *testing.B) netlink.Link {
	b.Helper()
	link, err := netlink.LinkByName(interfaceName)
	if err != nil {
		b.Fatalf("find interface %s: %v", interfaceName, err)
	}
	return link
}
