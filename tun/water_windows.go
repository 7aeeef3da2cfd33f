package tun

import (
	"fmt"
	"net"

	"github.com/songgao/water"
)

// waterConfig returns what water is to open: an adapter of OpenVPN's TAP driver,
// tap-windows6, which is one of Ethernet and plays a TUN. It answers ARP for the
// IPv4 network that the adapter is in now, and Neighbor Solicitation for fe80::8
// alone, so that IPv6 routes need that gateway.
func waterConfig(cfg Config) (water.Config, error) {
	params := water.Config{DeviceType: water.TUN}
	params.ComponentID = "tap0901"
	params.InterfaceName = cfg.Name // "" is the first there is.
	params.Network = tapDefault
	if cfg.Name == "" {
		return params, nil
	}
	adapter, err := net.InterfaceByName(cfg.Name)
	if err != nil {
		return water.Config{}, fmt.Errorf("%w: adapter %q: %w", ErrNoDevice, cfg.Name, err)
	}
	addresses, err := adapter.Addrs()
	if err != nil {
		return water.Config{}, fmt.Errorf("addresses of adapter %q: %w", cfg.Name, err)
	}
	params.Network = tapNetwork(addresses)
	return params, nil
}

// settleMTU checks that the adapter has the MTU wanted: it is a setting of
// Windows' that outlives the device, and of its administrator.
func settleMTU(name string, mtu int) error {
	adapter, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("MTU of adapter %q: %w", name, err)
	}
	return checkMTU(name, adapter.MTU, mtu)
}
