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

// opened is a device as it was opened, without its host's side.
type opened struct {
	name     string
	features Features
	queues   []Queue
	watch    *linkWatch // nil for a descriptor
}

// discard closes the queues of a device that is not to be.
func (o *opened) discard() error {
	var errs []error
	for _, q := range o.queues {
		q.Stop()
		errs = append(errs, q.Close())
	}
	return errors.Join(errs...)
}

// nudge has the readers look at a device that is gone: woken by the kernel as it
// goes, they may find it still there, and nothing wakes them again.
func (o *opened) nudge() {
	for _, q := range o.queues {
		if q, ok := q.(*nativeQueue); ok {
			q.nudge()
		}
	}
}

// open opens the device that cfg describes.
func open(cfg Config) (*Device, error) {
	var (
		o   opened
		err error
	)
	switch {
	case cfg.FD > 0:
		o, err = adopt(cfg)
	case cfg.NetNS == "":
		o, err = create(cfg)
	default:
		err = netns.Do(cfg.NetNS, func() (err error) {
			o, err = create(cfg)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	d := New(o.name, cfg.MTU, o.features, o.queues...)
	if o.watch != nil {
		o.watch.follow(cfg.MTU, d.endpoint.SetMTU, o.nudge)
		d.onClose(o.watch.close)
	}
	return d, nil
}

// create makes the interface in the namespace of the current thread, with the
// host's side of it, or nothing.
func create(cfg Config) (opened, error) {
	openQueues := openNative
	if cfg.Backend == Water {
		openQueues = openWater
	}
	o, err := openQueues(cfg)
	if err != nil {
		return opened{}, err
	}
	// First of all, so that no change goes unheard.
	if o.watch, err = watchLink(o.name); err != nil {
		return opened{}, errors.Join(err, o.discard())
	}
	if err := setHost(o.name, cfg); err != nil {
		o.watch.cancel()
		return opened{}, errors.Join(err, o.discard())
	}
	return o, nil
}

// openDescriptor opens the interface called name, or one that the kernel names
// if name is empty, and returns its descriptor, name and flags.
func openDescriptor(name string, wanted uint16) (fd int, actual string, flags uint16, err error) {
	fd, err = openTUN(name, wanted)
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

// adopt returns a device over cfg.FD, which is the device's if there is no
// error.
func adopt(cfg Config) (o opened, err error) {
	fd := cfg.FD
	name, flags, err := checkDescriptor(fd)
	if err != nil {
		return opened{}, fmt.Errorf("FD %d: %w", fd, err)
	}
	var features Features
	if flags&unix.IFF_VNET_HDR != 0 { // Others are not ours to change.
		if features, err = negotiate(fd, flags, cfg.NoOffload); err != nil {
			return opened{}, fmt.Errorf("FD %d: %w", fd, err)
		}
	}
	q, err := newQueue(fd, flags, features)
	if err != nil {
		return opened{}, fmt.Errorf("%w: FD %d: %w", ErrConfig, fd, err)
	}
	unix.CloseOnExec(fd)
	return opened{name: name, features: features, queues: []Queue{q}}, nil
}

// checkDescriptor reports what is wrong with fd, else the name of its interface
// and the flags it was opened with: "" and 0 if it is not a TUN device's.
func checkDescriptor(fd int) (name string, flags uint16, err error) {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return "", 0, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	name, flags, err = interfaceOf(fd)
	switch {
	case err != nil:
		return "", 0, nil
	// IFF_NO_PI cannot be asked for: in an answer the bit means another thing.
	case flags&unix.IFF_TUN == 0:
		return "", 0, fmt.Errorf("%w: %s carries more than bare IP packets (flags %#x)", ErrConfig, name, flags)
	}
	return name, flags, nil
}
