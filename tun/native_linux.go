package tun

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// usefulQueues is the most queues that are opened unless more are asked for: a
// few busy flows seldom fill more.
const usefulQueues = 4

// openNative opens the interface cfg.Name with offloads and queues as far as
// they are wanted and to be had.
func openNative(cfg Config) (opened, error) {
	flags, queues, err := plan(cfg)
	if err != nil {
		return opened{}, err
	}
	var o opened
	for len(o.queues) < queues {
		err := o.addNative(cfg, flags)
		switch {
		case err == nil:
			cfg.Name = o.name // The kernel may have chosen it.
		case len(o.queues) > 0 && cfg.Queues == 0:
			return o, nil // Fewer will do.
		default:
			return opened{}, errors.Join(err, o.discard())
		}
	}
	return o, nil
}

// plan returns the flags with which queues of the interface cfg.Name are
// opened, and how many. An interface that exists is of one queue or of many,
// whatever we would like; one of many would let us in beside another program.
func plan(cfg Config) (flags uint16, queues int, err error) {
	known := supported()
	flags = plainFlags
	if !cfg.NoOffload {
		flags |= unix.IFF_VNET_HDR & known
	}
	queues = cfg.Queues
	if queues == 0 {
		queues = min(runtime.GOMAXPROCS(0), usefulQueues)
	}
	many := queues > 1
	if there := existing(cfg.Name); there != nil {
		if there.Queues+there.DisabledQueues > 0 {
			return 0, 0, explain(cfg.Name, unix.EBUSY)
		}
		many = there.Flags&netlink.TUNTAP_MULTI_QUEUE != 0
	}
	switch {
	case many:
		return flags | unix.IFF_MULTI_QUEUE, queues, nil
	case cfg.Queues > 1:
		return 0, 0, fmt.Errorf("%w: that interface has one queue, and not Queues %d", ErrNameTaken, cfg.Queues)
	}
	return flags, 1, nil
}

// existing returns the TUN interface called name, or nil if there is none.
func existing(name string) *netlink.Tuntap {
	if name == "" {
		return nil
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil
	}
	tuntap, _ := link.(*netlink.Tuntap)
	return tuntap
}

// addNative opens one queue more.
func (o *opened) addNative(cfg Config, flags uint16) error {
	fd, name, _, err := openDescriptor(cfg.Name, flags)
	if err != nil {
		return err
	}
	features := o.features
	// What is granted is the interface's, so the first queue settles it.
	if len(o.queues) == 0 {
		if features, err = negotiate(fd, flags, cfg.NoOffload); err != nil {
			unix.Close(fd)
			return err
		}
	}
	q, err := newQueue(fd, flags, features)
	if err != nil {
		unix.Close(fd)
		return err
	}
	o.name, o.features = name, features
	o.queues = append(o.queues, q)
	return nil
}
