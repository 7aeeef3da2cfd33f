//go:build darwin || windows

package tun

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/songgao/water"
)

// What these platforms can do.
const (
	best         = Water
	hostSettings = false
)

// open opens the device that cfg describes.
func open(cfg Config) (*Device, error) {
	if cfg.FD > 0 || cfg.Backend == Native {
		return nil, fmt.Errorf("%w: FD and the native backend on %s: %w", ErrConfig, runtime.GOOS, errors.ErrUnsupported)
	}
	params, err := waterConfig(cfg)
	if err != nil {
		return nil, err
	}
	device, err := water.New(params)
	if err != nil {
		return nil, explainWater(err)
	}
	if err := settleMTU(device.Name(), cfg.MTU); err != nil {
		return nil, errors.Join(err, device.Close())
	}
	return New(device.Name(), cfg.MTU, Features{}, newWaterQueue(device, cfg.MTU)), nil
}

// isGone reports whether err says that the interface was deleted, which these
// platforms do not tell.
func isGone(error) bool { return false }
