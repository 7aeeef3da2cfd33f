//go:build linux

package tun

import (
	"syscall"

	"golang.org/x/sys/unix"
	gtun "gvisor.dev/gvisor/pkg/tcpip/link/tun"
)

// openTUN opens the TUN interface called name, or one that the kernel names if
// name is empty. The descriptor does not block and no child inherits it.
func openTUN(name string) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := gtun.Open(name)
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	return fd, nil
}

// interfaceOf returns the name of the interface that fd belongs to, and the
// flags (IFF_TUN and so on) it was opened with.
func interfaceOf(fd int) (name string, flags uint16, err error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr); err != nil {
		return "", 0, err
	}
	return ifr.Name(), ifr.Uint16(), nil
}
