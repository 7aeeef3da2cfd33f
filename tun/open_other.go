//go:build !linux && !darwin && !windows

package tun

import (
	"errors"
	"fmt"
	"runtime"
)

// What these platforms can do.
const (
	best         = Water
	hostSettings = false
)

// open refuses: there is no backend. Package wgtun has one for some.
func open(Config) (*Device, error) {
	return nil, fmt.Errorf("%w: no backend for %s, but see tun/wgtun: %w", ErrNoDevice, runtime.GOOS, errors.ErrUnsupported)
}
