package tun_test

import (
	"bytes"
	"net"
	"net/netip"
	"runtime"
	"testing"

	vnetns "github.com/vishvananda/netns"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/v6stack/v6stack/internal/netns"
	"github.com/v6stack/v6stack/tun"
)

// namespace makes a named network namespace, which the test removes.
func namespace(t *testing.T, name string) {
	t.Helper()
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // The thread ends in the new namespace.
		handle, err := vnetns.NewNamed(name)
		if err == nil {
			err = handle.Close()
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vnetns.DeleteNamed(name); err != nil {
			t.Error(err)
		}
	})
}

func TestHostSideInANamespace(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		namespace(t, "v6there")
		device := open(t, tun.Config{
			Backend:       backend,
			Name:          "v6tun",
			NetNS:         "v6there",
			HostAddresses: []netip.Prefix{hostPrefix},
			HostRoutes:    prefixes("fd00:9::/64"),
		})
		record := newRecorder()
		device.Endpoint().Attach(record)
		if _, err := net.InterfaceByName("v6tun"); err == nil {
			t.Error("the interface is here as well")
		}
		var conn *net.UDPConn
		if err := netns.Do("/run/netns/v6there", func() error {
			conn = listen(t)
			if !hasRoute(t, linkOf(t, device), "fd00:9::/64") {
				t.Error("no route")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		exchange(t, device, record, conn)

		device.Close()
		if err := netns.Do("v6there", func() error {
			if _, err := net.InterfaceByName("v6tun"); err == nil {
				t.Error("the interface is still there")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// exchange sends a packet each way.
func exchange(t *testing.T, device *tun.Device, record *recorder, conn *net.UDPConn) {
	t.Helper()
	there, back := pattern(1000), pattern(900)
	if _, err := conn.WriteToUDPAddrPort(there, peer); err != nil {
		t.Fatal(err)
	}
	p := record.next(t, isUDP)
	if !bytes.Equal(p.octets[header.IPv6MinimumSize+header.UDPMinimumSize:], there) {
		t.Error("other octets came out of the namespace")
	}
	if n, err := send(device.Endpoint(), split(udpPacket(peer, localPort(conn), back))); n != 1 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	got := make([]byte, 2000)
	n, _, err := conn.ReadFromUDPAddrPort(got)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[:n], back) {
		t.Error("other octets came into the namespace")
	}
}
