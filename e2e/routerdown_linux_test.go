package e2e

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// changeTUN changes the station's TUN behind the router's back.
func (s *station) changeTUN(t *testing.T, what string, change func(link netlink.Link) error) {
	t.Helper()
	s.inside(t, func() {
		link, err := netlink.LinkByName(s.name)
		if err == nil {
			err = change(link)
		}
		if err != nil {
			t.Errorf("%s %s: %v", what, s.name, err)
		}
	})
}

// raise sets the TUN up and gives it back what the kernel took from it when it
// went down.
func (s *station) raise(link netlink.Link) error {
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	index := link.Attrs().Index
	address := &net.IPNet{IP: s.addr().AsSlice(), Mask: net.CIDRMask(s.address.Bits(), 128)}
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: address, Flags: unix.IFA_F_NODAD}); err != nil {
		return err
	}
	everywhere := &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	if err := netlink.RouteReplace(&netlink.Route{LinkIndex: index, Dst: everywhere}); err != nil {
		return err
	}
	return awaitLocalRoute(s.addr())
}

// awaitLocalRoute waits until the kernel takes packets to an address for its
// own, which it begins with a while after it was given the address.
func awaitLocalRoute(address netip.Addr) error {
	for end := deadline(); time.Now().Before(end); time.Sleep(time.Millisecond) {
		routes, err := netlink.RouteGet(address.AsSlice())
		if err != nil && !errors.Is(err, unix.ENETUNREACH) {
			return err
		}
		if len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
	}
	return errors.New("no local route")
}

// awaitDrop sends datagrams from a station to another one until the router has
// dropped one for that reason.
func (r *router) awaitDrop(t *testing.T, from, to *station, reason stack.DropReason) {
	t.Helper()
	socket := from.dial(t, netip.AddrPortFrom(to.addr(), echoPort))
	for end := deadline(); r.linkStats(t, from).Drops[reason] == 0; time.Sleep(time.Millisecond) {
		// An error is that of a datagram before.
		socket.Write(wire.Payload(4000))
		if time.Now().After(end) {
			t.Fatalf("no packet was dropped as %v: %v", reason, r.linkStats(t, from).Drops)
		}
	}
}

// startTrio starts a router between three stations, the first of which has
// load with the second.
func startTrio(t *testing.T) (r *router, load *load, c *station) {
	t.Helper()
	r = startRouter(t, nil, stationConfig{subnet: 0xa, mtu: 1500}, stationConfig{subnet: 0xb, mtu: 1500}, stationConfig{subnet: 0xc, mtu: 1500})
	a, b, c := r.stations[0], r.stations[1], r.stations[2]
	load = startLoad(t, a.dial(t, b.serve(t, echoPort)), 4000)
	load.await(1)
	return r, load, c
}

// TestRouterInterfaceDown has a host set its side of a link down, and up again.
// The others go on.
func TestRouterInterfaceDown(t *testing.T) {
	r, load, c := startTrio(t)
	a := r.stations[0]
	c.changeTUN(t, "set down", netlink.LinkSetDown)
	r.awaitDrop(t, a, c, stack.NoBufferSpace)
	load.await(10)
	c.changeTUN(t, "set up", c.raise)
	load.await(10)
	if err := exchange(a.dial(t, c.serve(t, echoPort)), wire.Payload(4000)); err != nil {
		t.Error(err)
	}
	load.finish()
}

// TestRouterInterfaceGone deletes an interface. Its link is down, the others go
// on, and with a new interface it is there again.
func TestRouterInterfaceGone(t *testing.T) {
	r, load, c := startTrio(t)
	a := r.stations[0]
	c.changeTUN(t, "delete", netlink.LinkDel)
	r.awaitDrop(t, a, c, stack.LinkDown)
	if !r.linkStats(t, c).Down {
		t.Errorf("the link of %s is not down", c.name)
	}
	load.await(10)
	r.config.Links[2] = c.link(c.open(t))
	if err := r.Reload(r.config); err != nil {
		t.Fatal(err)
	}
	load.await(10)
	if err := exchange(a.dial(t, c.serve(t, echoPort)), wire.Payload(4000)); err != nil {
		t.Error(err)
	}
	if r.linkStats(t, c).Down {
		t.Errorf("the link of %s is still down", c.name)
	}
	load.finish()
}
