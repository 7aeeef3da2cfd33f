package tun_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/tun"
)

func prefixes(list ...string) []netip.Prefix {
	var parsed []netip.Prefix
	for _, s := range list {
		parsed = append(parsed, netip.MustParsePrefix(s))
	}
	return parsed
}

func TestHostSide(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		device := open(t, tun.Config{
			Backend:       backend,
			Name:          "v6host",
			MTU:           9000,
			HostAddresses: prefixes("fd00:6::1/64", "fd00:7::1/128", "192.0.2.1/24"),
			HostRoutes:    prefixes("fd00:8::/32", "fd00:9::1/48", "198.51.100.7/24"),
		})
		link := linkOf(t, device)
		if device.Name() != "v6host" || device.MTU() != 9000 || link.Attrs().MTU != 9000 || link.Attrs().Flags&net.FlagUp == 0 {
			t.Errorf("got %s, MTU %d, the kernel's %d, flags %v", device.Name(), device.MTU(), link.Attrs().MTU, link.Attrs().Flags)
		}
		addresses, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"fd00:6::1/64", "fd00:7::1/128", "192.0.2.1/24"} {
			if !slices.ContainsFunc(addresses, func(a netlink.Addr) bool {
				return a.IPNet.String() == want && a.Flags&unix.IFA_F_TENTATIVE == 0
			}) {
				t.Errorf("%s is not there, or not to be used: %v", want, addresses)
			}
		}
		for _, want := range []string{"fd00:8::/32", "fd00:9::/48", "198.51.100.0/24"} {
			if !hasRoute(t, link, want) {
				t.Errorf("no route to %s", want)
			}
		}
	})
}

func hasRoute(t *testing.T, link netlink.Link, destination string) bool {
	t.Helper()
	routes, err := netlink.RouteList(link, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(routes, func(r netlink.Route) bool {
		return r.Dst != nil && r.Dst.String() == destination
	})
}

// A socket can be bound and a packet to the address is the kernel's own as
// soon as Open returns: connecting over the loopback interface needs both.
func TestHostAddressWorksAtOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		for range 20 {
			device := open(t, tun.Config{Backend: backend, HostAddresses: []netip.Prefix{hostPrefix}})
			conn := listen(t)
			if _, err := conn.WriteToUDPAddrPort([]byte("to myself"), localPort(conn)); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			conn.Close()
			device.Close()
		}
	})
}

func TestNoChildInheritsADevice(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		device := open(t, tun.Config{Backend: backend})
		found := 0
		for fd := range 1000 {
			path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
			if err != nil || path != "/dev/net/tun" {
				continue
			}
			found++
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor flags %#x, %v", flags, err)
			}
		}
		if want := device.Features().Queues; found != want {
			t.Errorf("%d descriptors of devices, want %d", found, want)
		}
	})
}

func TestKernelChoosesTheName(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		for name, want := range map[string]string{"": "tun", "v6n%d": "v6n"} {
			first, second := open(t, tun.Config{Backend: backend, Name: name}), open(t, tun.Config{Backend: backend, Name: name})
			if first.Name() != want+"0" || second.Name() != want+"1" {
				t.Errorf("%q: got %q and %q", name, first.Name(), second.Name())
			}
			linkOf(t, second)
			first.Close()
			second.Close()
		}
	})
}

func TestOpenFailureLeavesNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		open(t, tun.Config{Backend: backend}).Close()
		before := descriptors(t)
		for _, test := range []struct {
			name string
			cfg  tun.Config
			want string
		}{
			{"multicast address", tun.Config{HostAddresses: prefixes("fd00:6::1/64", "ff02::1/128")}, "add host address ff02::1/128"},
			{"address twice", tun.Config{HostAddresses: prefixes("fd00:6::1/64", "fd00:6::1/64")}, "add host address fd00:6::1/64"},
			{"route twice", tun.Config{HostAddresses: prefixes("fd00:6::1/64"), HostRoutes: prefixes("fd00:7::/64", "fd00:7::/64")}, "add host route fd00:7::/64"},
			{"no namespace", tun.Config{NetNS: "nowhere"}, `network namespace "nowhere"`},
		} {
			test.cfg.Name, test.cfg.Backend = "v6fail", backend
			device, err := tun.Open(test.cfg)
			if err == nil {
				device.Close()
				t.Errorf("%s: opened", test.name)
				continue
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "v6fail") {
				t.Errorf("%s: got %q, want %q", test.name, err, test.want)
			}
			if _, err := net.InterfaceByName("v6fail"); err == nil {
				t.Errorf("%s: the interface is there", test.name)
			}
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
}

func TestNameTaken(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		taken := open(t, tun.Config{Backend: backend, Name: "v6taken"})
		before := descriptors(t)
		for _, name := range []string{taken.Name(), "lo"} {
			device, err := tun.Open(tun.Config{Backend: backend, Name: name})
			if err == nil {
				device.Close()
				t.Fatalf("%s was opened", name)
			}
			if !errors.Is(err, tun.ErrNameTaken) || !strings.Contains(err.Error(), name) {
				t.Errorf("got %q, want ErrNameTaken and %s", err, name)
			}
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
}

func TestNoDevice(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		if err := unix.Mount("tmpfs", "/dev/net", "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount("/dev/net", 0)
		if _, err := tun.Open(tun.Config{Backend: backend}); !errors.Is(err, tun.ErrNoDevice) || !errors.Is(err, unix.ENOENT) {
			t.Errorf("got %v, want ErrNoDevice and ENOENT", err)
		}
	})
}

func TestNoPermission(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		result := make(chan error)
		go func() {
			// The thread that gives up its capabilities ends with this.
			runtime.LockOSThread()
			if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &make([]unix.CapUserData, 2)[0]); err != nil {
				result <- err
				return
			}
			_, err := tun.Open(tun.Config{Backend: backend})
			result <- err
		}()
		if err := <-result; !errors.Is(err, tun.ErrPermission) {
			t.Errorf("got %v, want ErrPermission", err)
		}
	})
}

// A TUN that somebody made beforehand can be used, and stays.
func TestPersistentDevice(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		link := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "v6keep"}, Mode: netlink.TUNTAP_MODE_TUN, Flags: netlink.TUNTAP_NO_PI}
		if err := netlink.LinkAdd(link); err != nil {
			t.Fatal(err)
		}
		defer netlink.LinkDel(link)
		for _, fd := range link.Fds {
			fd.Close()
		}
		for range 2 {
			device := open(t, tun.Config{Backend: backend, Name: "v6keep"})
			if err := device.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := net.InterfaceByName("v6keep"); err != nil {
			t.Error(err)
		}
	})
}
