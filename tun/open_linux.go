package tun

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/netns"
)

// What this platform can do.
const (
	best         = Native
	hostSettings = true
)

// open opens the device that cfg describes and returns its queue and the name
// of the interface.
func open(cfg Config) (queue, string, error) {
	if cfg.FD > 0 {
		return adopt(cfg.FD)
	}
	if cfg.NetNS == "" {
		return create(cfg)
	}
	var (
		q    queue
		name string
	)
	err := netns.Do(cfg.NetNS, func() (err error) {
		q, name, err = create(cfg)
		return err
	})
	return q, name, err
}

// create makes the interface in the namespace of the current thread, with the
// host's side of it, or nothing.
func create(cfg Config) (queue, string, error) {
	openQueue := openNative
	if cfg.Backend == Water {
		openQueue = openWater
	}
	q, name, err := openQueue(cfg)
	if err != nil {
		return nil, "", err
	}
	if err := setHost(name, cfg); err != nil {
		q.stop()
		return nil, "", errors.Join(err, q.close())
	}
	return q, name, nil
}

// openNative opens the interface cfg.Name.
func openNative(cfg Config) (queue, string, error) {
	fd, name, _, err := openDescriptor(cfg.Name)
	if err != nil {
		return nil, "", err
	}
	q, err := newQueue(fd)
	if err != nil {
		unix.Close(fd)
		return nil, "", err
	}
	return q, name, nil
}

// openDescriptor opens the interface called name, or one that the kernel names
// if name is empty, and returns its descriptor, name and flags.
func openDescriptor(name string) (fd int, actual string, flags uint16, err error) {
	fd, err = openTUN(name)
	if err != nil {
		return -1, "", 0, explain(name, err)
	}
	actual, flags, err = interfaceOf(fd)
	if err != nil {
		unix.Close(fd)
		return -1, "", 0, fmt.Errorf("ask for its name: %w", err)
	}
	return fd, actual, flags, nil
}

// explain adds to what opening the interface called name gave the sentinel it
// amounts to.
func explain(name string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w: /dev/net/tun: %w", ErrNoDevice, err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: /dev/net/tun must be readable and writable, and CAP_NET_ADMIN held: %w", ErrPermission, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: another program has it open: %w", ErrNameTaken, err)
	case errors.Is(err, unix.EINVAL) && exists(name):
		return fmt.Errorf("%w: that interface is no TUN device like this: %w", ErrNameTaken, err)
	}
	return err
}

// exists reports whether there is an interface called name.
func exists(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

// adopt returns a queue over fd, which is the queue's if there is no error.
func adopt(fd int) (queue, string, error) {
	name, err := checkDescriptor(fd)
	if err != nil {
		return nil, "", fmt.Errorf("FD %d: %w", fd, err)
	}
	q, err := newQueue(fd)
	if err != nil {
		return nil, "", err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(q.wake.EFD)
		return nil, "", fmt.Errorf("FD %d: %w", fd, err)
	}
	unix.CloseOnExec(fd)
	return q, name, nil
}

// checkDescriptor reports what is wrong with fd, else the name of its
// interface: "" if it is not a TUN device's.
func checkDescriptor(fd int) (string, error) {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return "", fmt.Errorf("%w: %w", ErrConfig, err)
	}
	name, flags, err := interfaceOf(fd)
	switch {
	case err != nil:
		return "", nil
	// IFF_NO_PI cannot be asked for: in an answer the bit means another thing.
	case flags&unix.IFF_TUN == 0 || flags&unix.IFF_VNET_HDR != 0:
		return "", fmt.Errorf("%w: %s carries more than bare IP packets (flags %#x)", ErrConfig, name, flags)
	}
	return name, nil
}
