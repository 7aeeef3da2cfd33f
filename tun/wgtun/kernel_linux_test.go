package wgtun_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	wgdevice "golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/v6stack/v6stack/tun"
	"github.com/v6stack/v6stack/tun/wgtun"
)

// The kernel has the first address of each family, gVisor the second.
var (
	prefixes  = []string{"fd00:6::1/64", "192.0.2.1/24"}
	addresses = map[string]netip.Addr{
		"ipv6": netip.MustParseAddr("fd00:6::2"),
		"ipv4": netip.MustParseAddr("192.0.2.2"),
	}
)

const port = 7

// needSandbox skips a test that needs real TUN devices where there are none.
func needSandbox(t *testing.T) {
	t.Helper()
	if unavailable == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(unavailable)
	}
	t.Skip(unavailable)
}

// openKernel returns a device over a real one of wireguard's, with the host's
// side set up. The test closes it.
func openKernel(t *testing.T, mtu int) (*tun.Device, netlink.Link) {
	t.Helper()
	needSandbox(t)
	opened, err := wgdevice.CreateTUN("wg%d", mtu)
	if err != nil {
		t.Fatal(err)
	}
	device, err := wgtun.New(opened)
	if err != nil {
		opened.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := device.Close(); err != nil {
			t.Error(err)
		}
	})
	link, err := netlink.LinkByName(device.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range prefixes {
		address, err := netlink.ParseAddr(prefix)
		if err != nil {
			t.Fatal(err)
		}
		address.Flags = ifaNoDAD
		if err := netlink.AddrAdd(link, address); err != nil {
			t.Fatal(err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	// The kernel makes the local route of an IPv6 address in a worker; before, it
	// takes the address for somebody else's.
	eventually(t, "a local route", func() bool { return hasLocalRoute(t, "fd00:6::1") })
	return device, link
}

// hasLocalRoute reports whether the kernel takes the address for its own.
func hasLocalRoute(t *testing.T, address string) bool {
	t.Helper()
	filter := &netlink.Route{Table: tableLocal, Dst: &net.IPNet{IP: net.ParseIP(address), Mask: net.CIDRMask(128, 128)}}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	if err != nil {
		t.Fatal(err)
	}
	return len(routes) > 0
}

// Of Linux' rtnetlink.
const (
	ifaNoDAD   = 0x02 // IFA_F_NODAD
	tableLocal = 255  // RT_TABLE_LOCAL
)

// attach returns a gVisor stack over device, the test's to end, that answers
// pings, and at port sends back what comes by TCP and UDP.
func attach(t *testing.T, device *tun.Device) {
	t.Helper()
	s := gstack.New(gstack.Options{
		NetworkProtocols: []gstack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []gstack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
	})
	t.Cleanup(s.Destroy)
	if err := s.CreateNIC(1, device.Endpoint()); err != nil {
		t.Fatal(err)
	}
	s.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: 1},
		{Destination: header.IPv6EmptySubnet, NIC: 1},
	})
	for _, address := range addresses {
		local := tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFromSlice(address.AsSlice()), Port: port}
		protocol := ipv6.ProtocolNumber
		if address.Is4() {
			protocol = ipv4.ProtocolNumber
		}
		if err := s.AddProtocolAddress(1, tcpip.ProtocolAddress{
			Protocol: protocol, AddressWithPrefix: local.Addr.WithPrefix(),
		}, gstack.AddressProperties{}); err != nil {
			t.Fatal(err)
		}
		listener, err := gonet.ListenTCP(s, local, protocol)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := gonet.DialUDP(s, &local, nil, protocol)
		if err != nil {
			t.Fatal(err)
		}
		serve(t, listener, conn)
	}
}

// serve answers until the test ends.
func serve(t *testing.T, listener net.Listener, packets net.PacketConn) {
	var workers sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		packets.Close()
		workers.Wait()
	})
	workers.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			workers.Go(func() {
				answer(conn)
			})
		}
	})
	workers.Go(func() {
		octets := make([]byte, 65535)
		for {
			n, from, err := packets.ReadFrom(octets)
			if err != nil {
				return
			}
			packets.WriteTo(octets[:n], from)
		}
	})
}

// answer sends back what it gets, once it has got all: where both sides send and
// neither reads fast enough, gVisor drops the acknowledgements that the kernel's
// probes of its closed window carry, and both wait for ever.
func answer(conn net.Conn) {
	defer conn.Close()
	if all, err := io.ReadAll(conn); err == nil {
		conn.Write(all)
	}
}

// dial returns a connection of the kernel's to gVisor.
func dial(t *testing.T, network string, address netip.Addr) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout(network, netip.AddrPortFrom(address, port).String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// eachFamily runs test for IPv4 and IPv6, over one device.
func eachFamily(t *testing.T, mtu int, test func(t *testing.T, address netip.Addr)) {
	device, _ := openKernel(t, mtu)
	attach(t, device)
	for family, address := range addresses {
		t.Run(family, func(t *testing.T) { test(t, address) })
	}
	if got := device.Stats(); got != (tun.Stats{Detached: got.Detached}) {
		t.Errorf("got %+v, want nothing lost", got)
	}
}

// The kernel hands over large segments, which the device cuts, and is handed
// large ones, which it makes.
func TestKernelTCP(t *testing.T) {
	for _, mtu := range []int{1280, 1420, 9000} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			eachFamily(t, mtu, func(t *testing.T, address netip.Addr) {
				conn := dial(t, "tcp", address).(*net.TCPConn)
				payload := pattern(1 << 20)
				if _, err := conn.Write(payload); err != nil {
					t.Fatal(err)
				}
				if err := conn.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(conn)
				if err != nil || !bytes.Equal(got, payload) {
					t.Errorf("got %d octets and %v, want the %d that were sent", len(got), err, len(payload))
				}
			})
		})
	}
}

// Datagrams longer than the MTU go in fragments.
func TestKernelUDP(t *testing.T) {
	eachFamily(t, 1420, func(t *testing.T, address netip.Addr) {
		conn := dial(t, "udp", address)
		got := make([]byte, 65535)
		for _, size := range []int{1, 1000, 1421, 20000, 65000} {
			if _, err := conn.Write(pattern(size)); err != nil {
				t.Fatal(err)
			}
			n, err := conn.Read(got)
			if err != nil || !bytes.Equal(got[:n], pattern(size)) {
				t.Errorf("got %d octets and %v, want the %d that were sent", n, err, size)
			}
		}
	})
}

func TestKernelPing(t *testing.T) {
	eachFamily(t, 1420, func(t *testing.T, address netip.Addr) {
		for _, size := range []string{"56", "1400", "20000"} {
			out, err := exec.Command("ping", "-n", "-c", "3", "-i", "0.01", "-w", "60", "-s", size, address.String()).CombinedOutput()
			if err != nil {
				t.Errorf("ping of %s octets: %v\n%s", size, err, out)
			}
		}
	})
}

func TestKernelChangesTheMTU(t *testing.T) {
	device, link := openKernel(t, 1420)
	attach(t, device)
	if got := device.Endpoint().MTU(); got != 1420 {
		t.Errorf("got MTU %d, want 1420", got)
	}
	if err := netlink.LinkSetMTU(link, 9000); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an MTU of 9000", func() bool { return device.Endpoint().MTU() == 9000 })
	conn := dial(t, "udp", addresses["ipv6"])
	if _, err := conn.Write(pattern(8000)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 65535)
	if n, err := conn.Read(got); err != nil || n != 8000 {
		t.Errorf("got %d octets and %v, want 8000", n, err)
	}
}

// What is written to an interface that is down is refused.
func TestKernelDownAndUp(t *testing.T) {
	device, link := openKernel(t, 1420)
	ip := packetOf{octets: pattern(100)}
	for range 2 {
		if err := netlink.LinkSetDown(link); err != nil {
			t.Fatal(err)
		}
		n, err := write(device, ip, ip)
		if _, full := err.(*tcpip.ErrNoBufferSpace); n != 0 || !full {
			t.Errorf("down: got %d, %v, want 0, ErrNoBufferSpace", n, err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			t.Fatal(err)
		}
		if n, err := write(device, ip, ip); n != 2 || err != nil {
			t.Errorf("up again: got %d, %v, want 2", n, err)
		}
	}
}

func TestKernelDeletesTheInterface(t *testing.T) {
	device, link := openKernel(t, 1420)
	attach(t, device)
	if err := netlink.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	_, err := write(device, packetOf{octets: pattern(100)})
	if _, closed := err.(*tcpip.ErrClosedForSend); !closed {
		t.Errorf("got %v, want ErrClosedForSend", err)
	}
}

func TestKernelCloseUnderTraffic(t *testing.T) {
	for range 10 {
		device, _ := openKernel(t, 1420)
		arrived := make(sink, 1)
		device.Endpoint().Attach(arrived)
		conn := dial(t, "udp", addresses["ipv6"])
		stop := make(chan struct{})
		var workers sync.WaitGroup
		for _, step := range []func(){
			func() { conn.Write(pattern(8000)) },
			func() { write(device, large(pattern(20000), 1300), packetOf{octets: pattern(900)}) },
			func() {
				select {
				case <-arrived:
				case <-stop:
				}
			},
		} {
			workers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						step()
					}
				}
			})
		}
		arrived.next(t)
		if err := device.Close(); err != nil {
			t.Error(err)
		}
		close(stop)
		workers.Wait()
	}
}

func TestKernelOpenAndCloseLeakNothing(t *testing.T) {
	needSandbox(t)
	cycle := func() {
		opened, err := wgdevice.CreateTUN("wgcycle", 1420)
		if err != nil {
			t.Fatal(err)
		}
		device, err := wgtun.New(opened)
		if err != nil {
			t.Fatal(err)
		}
		device.Endpoint().Attach(make(sink, 1000))
		if err := device.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cycle() // What Go's poller opens once is no leak.
	before := descriptors(t)
	for range 100 {
		cycle()
	}
	// wireguard closes some a moment later.
	eventually(t, "as many descriptors as before", func() bool { return descriptors(t) <= before })
}

// descriptors returns how many descriptors the process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
