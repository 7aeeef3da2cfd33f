package tun

import "github.com/songgao/water"

func waterConfig(cfg Config) water.Config {
	// Without an adapter's name, water's own defaults hold.
	if cfg.Name == "" {
		return water.Config{}
	}
	params := water.Config{DeviceType: water.TUN}
	params.ComponentID = "tap0901"
	params.Network = "192.168.1.10/24"
	params.InterfaceName = cfg.Name
	return params
}
