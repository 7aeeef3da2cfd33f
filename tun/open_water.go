//go:build darwin || windows

package tun

import (
	"errors"
	"fmt"
	"io/fs"
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
	device, err := water.New(waterConfig(cfg))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: %w", ErrPermission, err)
	case err != nil:
		return nil, err
	}
	return New(device.Name(), cfg.MTU, Features{}, newWaterQueue(device, cfg.MTU)), nil
}

// isGone reports whether err says that the interface was deleted, which these
// platforms do not tell.
func isGone(error) bool { return false }
