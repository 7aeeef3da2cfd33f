package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	ournetns "github.com/v6stack/v6stack/internal/netns"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// pathMTU returns the MTU that a station's kernel knows of the path to another
// station.
func pathMTU(t *testing.T, from, to *station) int {
	t.Helper()
	socket := from.dial(t, netip.AddrPortFrom(to.addr(), 9))
	defer socket.Close()
	return socketMTU(t, socket)
}

// socketMTU returns the MTU of the path of a connected socket.
func socketMTU(t *testing.T, socket syscall.Conn) int {
	t.Helper()
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	mtu := 0
	raw.Control(func(fd uintptr) { mtu, err = unix.GetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_MTU) })
	if err != nil {
		t.Fatalf("getsockopt IPV6_MTU: %v", err)
	}
	return mtu
}

// awaitPathMTU waits until the kernel knows it for want.
func awaitPathMTU(t *testing.T, from, to *station, want int) {
	t.Helper()
	for end := deadline(); ; time.Sleep(time.Millisecond) {
		got := pathMTU(t, from, to)
		if got == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("path MTU from %v to %v is %d: want %d", from.addr(), to.addr(), got, want)
		}
	}
}

// TestRouterPathMTU has a kernel learn the MTU of a path: by a packet that is
// too big, by a datagram whose fragments are. One error tells it, however many
// fragments there were, and nothing goes further.
func TestRouterPathMTU(t *testing.T) {
	for _, mtus := range pairs[1:] {
		for _, size := range []int{mtus.a - 48, 20000} {
			t.Run(fmt.Sprintf("mtus=%d,%d/size=%d", mtus.a, mtus.b, size), func(t *testing.T) {
				_, a, b := startPair(t, mtus.a, mtus.b, nil)
				service := b.serve(t, echoPort)
				if got := pathMTU(t, a, b); got != mtus.a {
					t.Fatalf("path MTU is %d at first: want %d", got, mtus.a)
				}
				if _, err := a.dial(t, service).Write(wire.Payload(size)); err != nil {
					t.Fatal(err)
				}
				awaitPathMTU(t, a, b, mtus.b)
				sent, received := a.wire.drain(t)
				sent = between(sent, a.addr(), b.addr())
				checkRouterErrors(t, a, received, icmpError{2, 0, uint32(mtus.b), sent[0]})
				if _, received := b.wire.drain(t); len(between(received, a.addr(), b.addr())) > 0 {
					t.Error("part of what was too big has arrived")
				}
				if err := exchange(a.dial(t, service), wire.Payload(size)); err != nil {
					t.Fatal(err)
				}
				checkPassed(t, a, b, 2)
				if got := pathMTU(t, b, a); got != mtus.b {
					t.Errorf("path MTU back is %d: want %d", got, mtus.b)
				}
			})
		}
	}
}

// TestRouterPathMTUOfTCP has a host claim that it takes larger segments than
// its link does.
func TestRouterPathMTUOfTCP(t *testing.T) {
	eachMixture(t, 9000, 1500, func(t *testing.T, r *router, a, b *station) {
		b.inside(t, func() { claimMSS(t, b.name, 8940) })
		service := b.serve(t, echoPort)
		err := ournetns.Do(a.name, func() error { return echoStreamAt(within(t), service, 1<<20) })
		if err != nil {
			t.Fatal(err)
		}
		if got := pathMTU(t, a, b); got != 1500 {
			t.Errorf("path MTU is %d: want 1500", got)
		}
		if r.linkStats(t, a).Drops[stack.PacketTooBig] == 0 {
			t.Error("no packet was too big")
		}
	})
}

// claimMSS has TCP announce that it takes segments of that many octets.
func claimMSS(t *testing.T, device string, octets int) {
	t.Helper()
	link, err := netlink.LinkByName(device)
	if err != nil {
		t.Fatal(err)
	}
	everywhere := &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: everywhere, AdvMSS: octets}
	if err := netlink.RouteReplace(route); err != nil {
		t.Fatalf("route that claims an MSS of %d: %v", octets, err)
	}
}

// checkRouterErrors checks that the ICMPv6 errors among what a station has
// received are those wanted, and from the router.
func checkRouterErrors(t *testing.T, s *station, received [][]byte, want ...icmpError) {
	t.Helper()
	var got []icmpError
	for _, packet := range between(received, s.router.Addr(), s.addr()) {
		if packet[6] != wire.ICMPv6 || packet[40] >= 128 {
			continue
		}
		h := wire.Header{Source: s.router.Addr(), Destination: s.addr()}
		if len(packet) > 1280 || h.Checksum(wire.ICMPv6, packet[40:]) != 0 {
			t.Errorf("an error of %d octets, or with a wrong checksum: %x", len(packet), packet)
		}
		got = append(got, parseError(packet[40:]))
	}
	for i := range want {
		want[i].quote = bytes.Clone(want[i].quote[:min(len(want[i].quote), 1280-48)])
		if i < len(got) && !got[i].equal(want[i]) {
			t.Errorf("ICMPv6 error %d to %v: %v\nwant %v", i, s.addr(), got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d ICMPv6 errors to %v, want %d: %v", len(got), s.addr(), len(want), got)
	}
}
