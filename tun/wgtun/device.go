package wgtun

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	wgdevice "golang.zx2c4.com/wireguard/tun"

	"github.com/v6stack/v6stack/tun"
)

// New returns a device over one of wireguard's, which it owns if there is no
// error: closing the result closes it, and nobody else may use it. Its events are
// taken: the MTU of the endpoint follows that of the interface.
func New(device wgdevice.Device) (*tun.Device, error) {
	name, err := device.Name()
	if err != nil {
		return nil, fmt.Errorf("wgtun: ask for the name of the device: %w", err)
	}
	mtu, err := device.MTU()
	switch {
	case err != nil:
		return nil, fmt.Errorf("wgtun: ask for the MTU of %s: %w", name, err)
	case !isMTU(mtu):
		return nil, fmt.Errorf("wgtun: the MTU of %s, %d, is not within 1…%d", name, mtu, tun.MaxMTU)
	case device.BatchSize() < 1:
		return nil, fmt.Errorf("wgtun: the batch size of %s, %d, is below 1", name, device.BatchSize())
	}
	q := newQueue(device)
	d := tun.New(name, mtu, tun.Features{}, q)
	q.follow(d.Endpoint())
	return d, nil
}

// closer returns what closes the device, once. On Linux it may find that a
// listener of its own has ended already, which is no failure.
func closer(device wgdevice.Device) func() error {
	return sync.OnceValue(func() error {
		err := device.Close()
		if errors.Is(err, os.ErrClosed) || errors.Is(err, syscall.EPIPE) {
			return nil
		}
		return err
	})
}

func isMTU(mtu int) bool { return mtu > 0 && mtu <= tun.MaxMTU }
