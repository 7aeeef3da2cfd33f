package e2e

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	wgdevice "golang.zx2c4.com/wireguard/tun"

	"github.com/v6stack/v6stack/tun"
	"github.com/v6stack/v6stack/tun/wgtun"
)

// A kind is a way to open a device. The zero value is that of who says nothing.
type kind struct {
	name string
	// config is only about how the device is opened.
	config tun.Config
	// features are what a kernel that has them all grants.
	features tun.Features
	// wireguard says that the device is one of wireguard's.
	wireguard bool
}

// offloads are the features of one queue of a kernel that has them all. USO is
// younger than the others.
var offloads = tun.Features{Queues: 1, Checksum: true, TSO4: true, TSO6: true, ECN: true}

// Kinds of devices.
var (
	plain = kind{
		name:     "plain",
		config:   tun.Config{Backend: tun.Native, NoOffload: true, Queues: 1},
		features: tun.Features{Queues: 1},
	}
	offload   = kind{name: "offload", config: tun.Config{Backend: tun.Native, Queues: 1}, features: offloads}
	queues    = kind{name: "queues", config: tun.Config{Backend: tun.Native, Queues: 2}, features: with(offloads, 2)}
	water     = kind{name: "water", config: tun.Config{Backend: tun.Water}, features: tun.Features{Queues: 1}}
	wireguard = kind{name: "wireguard", features: tun.Features{Queues: 1}, wireguard: true}
)

// kinds are all of them, programKinds those of the program.
var (
	kinds        = []kind{plain, offload, queues, water, wireguard}
	programKinds = []kind{{name: "default"}, plain, offload, queues, water}
)

// with returns features with that many queues.
func with(features tun.Features, queues int) tun.Features {
	features.Queues = queues
	return features
}

// eachKind runs test as a subtest for each kind of device.
func eachKind(t *testing.T, test func(t *testing.T, k kind)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { test(t, k) })
	}
}

// open opens a device of the kind, otherwise as cfg says.
func (k kind) open(cfg tun.Config) (*tun.Device, error) {
	if k.wireguard {
		return openWireguard(cfg)
	}
	cfg.Backend, cfg.NoOffload, cfg.Queues = k.config.Backend, k.config.NoOffload, k.config.Queues
	return tun.Open(cfg)
}

// openWireguard opens a device of wireguard's, with the name, the MTU and the
// host's addresses of cfg.
func openWireguard(cfg tun.Config) (*tun.Device, error) {
	opened, err := wgdevice.CreateTUN(cfg.Name, cmp.Or(cfg.MTU, tun.DefaultMTU))
	if err != nil {
		return nil, err
	}
	device, err := wgtun.New(opened)
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	if err := setHost(device.Name(), cfg.HostAddresses); err != nil {
		return nil, errors.Join(err, device.Close())
	}
	return device, nil
}

// setHost gives an interface what tun.Open does: addresses, and room for what
// its reader is too slow for. It sets it up.
func setHost(name string, addresses []netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, p := range addresses {
		address := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: address, Flags: unix.IFA_F_NODAD}); err != nil {
			return err
		}
	}
	const room = 2048
	if err := errors.Join(netlink.LinkSetTxQLen(link, room), netlink.LinkSetUp(link)); err != nil {
		return err
	}
	for _, p := range addresses {
		if err := awaitLocalRoute(p.Addr()); err != nil {
			return err
		}
	}
	return nil
}

// flags are those of the program for a device of the kind.
func (k kind) flags() []string {
	if k.name == "default" {
		return nil
	}
	flags := []string{"--backend", k.config.Backend.String(), "--queues", strconv.Itoa(k.config.Queues)}
	if k.config.NoOffload {
		flags = append(flags, "--offload=off")
	}
	return flags
}

// TestKinds checks that the kinds are what they are called: that the tests of
// offloads are not those of a kernel without.
func TestKinds(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		device := openDevice(t, k, tun.Config{})
		got := device.Features()
		if err := device.Close(); err != nil {
			t.Error(err)
		}
		got.USO = false
		if got != k.features {
			missing(t, "features of the kernel: %v, want %v", got, k.features)
		}
	})
}
