package tun

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// An mtuWatch hears of changes to the MTU of one interface, whoever makes them.
type mtuWatch struct {
	index   int // of the interface
	updates chan netlink.LinkUpdate
	stop    chan struct{} // closed by close
	done    chan struct{} // closed when nothing more is heard
}

// watchMTU begins to listen to what the kernel tells of the interface called
// name, in the namespace of the current thread. Either follow must be called or
// cancel.
func watchMTU(name string) (*mtuWatch, error) {
	w := &mtuWatch{
		updates: make(chan netlink.LinkUpdate),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", name, err)
	}
	w.index = link.Attrs().Index
	if err := netlink.LinkSubscribe(w.updates, w.stop); err != nil {
		return nil, fmt.Errorf("listen to netlink: %w", err)
	}
	return w, nil
}

// follow tells set, in a goroutine, of each MTU that differs from the last one,
// which is mtu at first. Close ends it.
func (w *mtuWatch) follow(mtu int, set func(mtu uint32)) {
	go func() {
		defer close(w.done)
		for update := range w.updates {
			attributes := update.Link.Attrs()
			if update.Header.Type == unix.RTM_NEWLINK && attributes.Index == w.index && attributes.MTU != mtu {
				mtu = attributes.MTU
				set(uint32(mtu))
			}
		}
	}()
}

// close ends the watch and waits until set is not called any more.
func (w *mtuWatch) close() {
	close(w.stop)
	<-w.done
}

// cancel ends a watch that nobody follows.
func (w *mtuWatch) cancel() {
	close(w.stop)
	for range w.updates { // Nobody else would take them.
	}
}
