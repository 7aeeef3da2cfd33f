package tun

import (
	"syscall"

	"golang.org/x/sys/unix"
	gtun "gvisor.dev/gvisor/pkg/tcpip/link/tun"
)

// plainFlags are those of a descriptor that carries bare IP packets.
const plainFlags = unix.IFF_TUN | unix.IFF_NO_PI

// openTUN opens the TUN interface called name, or one that the kernel names if
// name is empty, with the given flags. The descriptor does not block and no
// child inherits it.
func openTUN(name string, flags uint16) (int, error) {
	if flags == plainFlags {
		return openPlain(name)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openPlain opens an interface by gVisor's opener, which knows no other flags.
func openPlain(name string) (int, error) {
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
