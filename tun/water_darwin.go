package tun

import "github.com/songgao/water"

func waterConfig(cfg Config) water.Config {
	params := water.Config{DeviceType: water.TUN}
	params.Name = cfg.Name
	return params
}
