package tun

import "github.com/songgao/water"

// waterConfig returns what water is to open: a utun, the kernel's own device. Of
// the address family in four octets that it has ahead of each packet, water
// takes care, in both directions.
func waterConfig(cfg Config) (water.Config, error) {
	params := water.Config{DeviceType: water.TUN}
	params.Name = cfg.Name
	return params, checkUtun(cfg.Name)
}
