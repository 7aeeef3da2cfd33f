package tun_test

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/v6stack/v6stack/tun"
)

var (
	hostPrefix = netip.MustParsePrefix("fd00:6::1/64")
	peer       = netip.MustParseAddrPort("[fd00:6::2]:9")
)

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

// eachBackend runs test over real devices of each backend.
func eachBackend(t *testing.T, test func(t *testing.T, backend tun.Backend)) {
	needSandbox(t)
	for _, backend := range []tun.Backend{tun.Native, tun.Water} {
		t.Run(backend.String(), func(t *testing.T) { test(t, backend) })
	}
}

// open opens a device that the test closes in the end.
func open(t *testing.T, cfg tun.Config) *tun.Device {
	t.Helper()
	device, err := tun.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	return device
}

// listen returns a UDP socket of the kernel at the host's address.
func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: hostPrefix.Addr().AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func localPort(conn *net.UDPConn) netip.AddrPort {
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// isUDP tells datagrams and their fragments from what the kernel sends of its
// own accord.
func isUDP(p packet) bool {
	next := header.IPv6(p.octets).NextHeader()
	return p.protocol == header.IPv6ProtocolNumber && (next == uint8(header.UDPProtocolNumber) || next == header.IPv6FragmentHeader)
}

// The kernel computes a checksum that hosts of ours compute as well, so the
// packets are equal but for the flow label.
func TestPacketsOfTheKernel(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		for _, mtu := range []int{1500, 65535} {
			device := open(t, tun.Config{Backend: backend, MTU: mtu, HostAddresses: []netip.Prefix{hostPrefix}})
			record := newRecorder()
			device.Endpoint().Attach(record)
			conn := listen(t)
			for _, size := range []int{0, 1, 79, 80, 81, 600, 1452} {
				if _, err := conn.WriteToUDPAddrPort(pattern(size), peer); err != nil {
					t.Fatal(err)
				}
				p := record.next(t, isUDP)
				traffic, _ := header.IPv6(p.octets).TOS()
				header.IPv6(p.octets).SetTOS(traffic, 0)
				if want := udpPacket(localPort(conn), peer, pattern(size)); !bytes.Equal(p.octets, want) {
					t.Errorf("%d octets: got %x, want %x", size, p.octets, want)
				}
				checkViews(t, p)
			}
			device.Close()
		}
	})
}

// checkViews checks that the headers stand apart and that the packet pins no
// more than it must.
func checkViews(t *testing.T, p packet) {
	t.Helper()
	pinned := 0
	for _, chunk := range p.chunks {
		pinned += chunk
	}
	if p.views[0] != min(len(p.octets), 128) || p.chunks[0] > 128 {
		t.Errorf("first view: %d octets of %d", p.views[0], p.chunks[0])
	}
	if len(p.octets) <= 1500 && (len(p.views) > 2 || pinned > 128+2048) {
		t.Errorf("a packet of %d octets keeps views of %v", len(p.octets), p.chunks)
	}
}

func TestFragmentsOfTheKernel(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		for _, mtu := range []int{1280, 1500, 9000, 65535} {
			t.Run(strconv.Itoa(mtu), func(t *testing.T) {
				device := open(t, tun.Config{Backend: backend, MTU: mtu, HostAddresses: []netip.Prefix{hostPrefix}})
				record := newRecorder()
				device.Endpoint().Attach(record)
				conn := listen(t)
				payload := pattern(65000)
				if _, err := conn.WriteToUDPAddrPort(payload, peer); err != nil {
					t.Fatal(err)
				}
				if got := reassemble(t, record, mtu); !bytes.Equal(got, payload) {
					t.Error("the fragments make another datagram")
				}
			})
		}
	})
}

// reassemble puts the fragments of the next UDP datagram, which are in order,
// together and returns its payload.
func reassemble(t *testing.T, record *recorder, mtu int) []byte {
	t.Helper()
	const headers = header.IPv6MinimumSize
	var datagram []byte
	for more := true; more; {
		p := record.next(t, isUDP)
		checkViews(t, p)
		if len(p.octets) > mtu {
			t.Fatalf("a packet of %d octets", len(p.octets))
		}
		piece := p.octets[headers:]
		more = false
		if header.IPv6(p.octets).NextHeader() == header.IPv6FragmentHeader {
			more = piece[3]&1 != 0
			piece = piece[header.IPv6FragmentHeaderSize:]
		}
		datagram = append(datagram, piece...)
	}
	return datagram[header.UDPMinimumSize:]
}

func TestPacketsForTheKernel(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		device := open(t, tun.Config{Backend: backend, MTU: 9000, HostAddresses: []netip.Prefix{hostPrefix}})
		conn := listen(t)
		ones := make([]int, 2000)
		for i := range ones {
			ones[i] = 1
		}
		for i, views := range [][]int{nil, {40, 8}, {40, 8, 100, 1, 1000, 30}, ones} {
			payload := pattern(8900 - i)
			octets := udpPacket(peer, localPort(conn), payload)
			if n, err := send(device.Endpoint(), split(octets, views...)); n != 1 || err != nil {
				t.Fatalf("%d views: got %d, %v", len(views), n, err)
			}
			got := make([]byte, 10000)
			n, from, err := conn.ReadFromUDPAddrPort(got)
			if err != nil {
				t.Fatal(err)
			}
			if from != peer || !bytes.Equal(got[:n], payload) {
				t.Errorf("%d views: got %d octets from %v", len(views), n, from)
			}
		}
	})
}

func TestPacketsThatAreNotIP(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		device := open(t, tun.Config{Backend: backend})
		_, err := send(device.Endpoint(), split([]byte("\x00 is not a version")))
		if _, ok := err.(*tcpip.ErrNoBufferSpace); !ok || device.Stats().Refused != 1 {
			t.Errorf("got %v, %+v, want ErrNoBufferSpace, one refused", err, device.Stats())
		}
	})
}

// linkOf returns the interface of device as the kernel sees it.
func linkOf(t *testing.T, device *tun.Device) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName(device.Name())
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func TestInterfaceDownAndUp(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		device := open(t, tun.Config{Backend: backend, HostAddresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}})
		record := newRecorder()
		device.Endpoint().Attach(record)
		if err := netlink.LinkSetDown(linkOf(t, device)); err != nil {
			t.Fatal(err)
		}
		n, err := send(device.Endpoint(), split(ip6(100)))
		if _, ok := err.(*tcpip.ErrNoBufferSpace); !ok || n != 0 {
			t.Errorf("down: got %d, %v, want 0, ErrNoBufferSpace", n, err)
		}
		if err := netlink.LinkSetUp(linkOf(t, device)); err != nil {
			t.Fatal(err)
		}
		if n, err := send(device.Endpoint(), split(ip6(100))); n != 1 || err != nil {
			t.Errorf("up again: got %d, %v, want 1", n, err)
		}
		conn, dialErr := net.Dial("udp4", "192.0.2.2:9")
		if dialErr != nil {
			t.Fatal(dialErr)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("up again")); err != nil {
			t.Fatal(err)
		}
		record.next(t, func(p packet) bool { return p.protocol == header.IPv4ProtocolNumber })
	})
}

// The host may change the MTU behind our back.
func TestInterfaceGrows(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		device := open(t, tun.Config{Backend: backend, HostAddresses: []netip.Prefix{hostPrefix}})
		record := newRecorder()
		device.Endpoint().Attach(record)
		if err := netlink.LinkSetMTU(linkOf(t, device), 9000); err != nil {
			t.Fatal(err)
		}
		conn := listen(t)
		for _, size := range []int{5000, 1000} {
			if _, err := conn.WriteToUDPAddrPort(pattern(size), peer); err != nil {
				t.Fatal(err)
			}
		}
		const headers = header.IPv6MinimumSize + header.UDPMinimumSize
		var lost uint64
		switch backend {
		case tun.Native:
			if p := record.next(t, isUDP); !bytes.Equal(p.octets[headers:], pattern(5000)) {
				t.Errorf("got %d octets of a packet longer than the MTU", len(p.octets))
			}
		case tun.Water:
			lost = 1
		}
		if p := record.next(t, isUDP); !bytes.Equal(p.octets[headers:], pattern(1000)) {
			t.Errorf("got %d octets of a packet as long as the MTU", len(p.octets))
		}
		if got := device.Stats().TooLong; got != lost {
			t.Errorf("%d packets lost for their length, want %d", got, lost)
		}
	})
}

func TestInterfaceDeleted(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		device := open(t, tun.Config{Backend: backend})
		device.Endpoint().Attach(newRecorder())
		if err := netlink.LinkDel(linkOf(t, device)); err != nil {
			t.Fatal(err)
		}
		_, err := send(device.Endpoint(), split(ip6(100)))
		if _, ok := err.(*tcpip.ErrClosedForSend); !ok {
			t.Errorf("got %v, want ErrClosedForSend", err)
		}
		eventually(t, "a read fails", func() bool { return device.Stats().ReadErrors > 0 })
		if err := device.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestKernelCloseUnderTraffic(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		for range 10 {
			device := open(t, tun.Config{Backend: backend, HostAddresses: []netip.Prefix{hostPrefix}})
			endpoint := device.Endpoint()
			record := newRecorder()
			endpoint.Attach(record)
			conn := listen(t)
			reply := udpPacket(peer, localPort(conn), pattern(1400))
			var workers sync.WaitGroup
			stop := make(chan struct{})
			for _, step := range []func(){
				func() { conn.WriteToUDPAddrPort(pattern(8000), peer) },
				func() { send(endpoint, split(reply, 40)) },
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
			record.next(t, isUDP)
			if err := device.Close(); err != nil {
				t.Error(err)
			}
			close(stop)
			workers.Wait()
			conn.Close()
		}
	})
}

func TestOpenAndCloseLeakNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		cycle := func() {
			device, err := tun.Open(tun.Config{Backend: backend, Name: "v6cycle", HostAddresses: []netip.Prefix{hostPrefix}})
			if err != nil {
				t.Fatal(err)
			}
			device.Endpoint().Attach(newRecorder())
			if err := device.Close(); err != nil {
				t.Fatal(err)
			}
		}
		cycle() // What Go's poller opens once is no leak.
		before := descriptors(t)
		cycles := 200
		if backend == tun.Water {
			cycles = 50 // Each opens the interface twice.
		}
		for range cycles {
			cycle()
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
}
