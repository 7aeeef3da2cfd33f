package routerbench

import (
	"net"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	gtun "gvisor.dev/gvisor/pkg/tcpip/link/tun"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/netns"
)

// openFDBased opens a TUN at e as gVisor does, for its own endpoint. It stays open
// until the process ends: nobody can wait for the endpoint's processors, and
// forwarding panics if they write to a closed descriptor.
func openFDBased(b *testing.B, e end) gstack.LinkEndpoint {
	b.Helper()
	fd := -1
	err := netns.Do(e.namespace, func() (err error) {
		if fd, err = gtun.Open(e.name); err != nil {
			return err
		}
		unix.CloseOnExec(fd)
		return setHost(e)
	})
	if err != nil {
		b.Fatalf("open a TUN: %v", err)
	}
	endpoint, err := fdbased.New(&fdbased.Options{FDs: []int{fd}, MTU: mtu})
	if err != nil {
		b.Fatal(err)
	}
	return endpoint
}

// setHost sets up the host's side of e, in whose namespace the thread is.
func setHost(e end) error {
	link, err := netlink.LinkByName(e.name)
	if err != nil {
		return err
	}
	address := &netlink.Addr{
		IPNet: &net.IPNet{IP: e.host.Addr().AsSlice(), Mask: net.CIDRMask(e.host.Bits(), 128)},
		Flags: unix.IFA_F_NODAD,
	}
	all := &net.IPNet{IP: net.IPv6unspecified, Mask: net.CIDRMask(0, 128)}
	for _, set := range []func() error{
		func() error { return netlink.LinkSetMTU(link, mtu) },
		func() error { return netlink.AddrAdd(link, address) },
		func() error { return netlink.LinkSetUp(link) },
		func() error {
			return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: all})
		},
	} {
		if err := set(); err != nil {
			return err
		}
	}
	return nil
}
