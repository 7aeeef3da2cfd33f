//go:build darwin

package tun

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// settleMTU gives the interface its MTU. A utun exists only while it is open, so
// that nobody can have done it before.
func settleMTU(name string, mtu int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("set MTU %d: %w", mtu, err)
	}
	request := unix.IfreqMTU{MTU: int32(mtu)}
	copy(request.Name[:len(request.Name)-1], name)
	if err := unix.IoctlSetIfreqMTU(fd, &request); err != nil {
		return errors.Join(fmt.Errorf("set MTU %d: %w", mtu, err), unix.Close(fd))
	}
	return unix.Close(fd)
}
