package tun

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// An mtuWatch hears of changes to the MTU of one interface, whoever makes them.
type mtuWatch struct {
	index  int // of the interface
	socket *nl.NetlinkSocket
	port   uint32        // of the socket
	done   chan struct{} // closed when nothing more is heard
	// lost says that the kernel had more to tell than it keeps for us, and has
	// not answered since what the interface is like. It is the goroutine's.
	lost bool
}

// watchMTU begins to listen to what the kernel tells of the interface called
// name, in the namespace of the current thread. Either follow must be called or
// cancel.
func watchMTU(name string) (*mtuWatch, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", name, err)
	}
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return nil, fmt.Errorf("listen to netlink: %w", err)
	}
	port, err := socket.GetPid()
	if err != nil {
		socket.Close()
		return nil, fmt.Errorf("ask netlink for the port: %w", err)
	}
	return &mtuWatch{index: link.Attrs().Index, socket: socket, port: port, done: make(chan struct{})}, nil
}

// follow tells set, in a goroutine, of each MTU that differs from the last one,
// which is mtu at first. Close ends it.
func (w *mtuWatch) follow(mtu int, set func(mtu uint32)) {
	go func() {
		defer close(w.done)
		for {
			heard, err := w.hear()
			if err != nil {
				return
			}
			for _, h := range heard {
				if h != mtu {
					mtu = h
					set(uint32(mtu))
				}
			}
		}
	}()
}

// hear waits for news of links and returns the MTUs that the interface had, one
// after the other. An error is final.
func (w *mtuWatch) hear() (mtus []int, err error) {
	messages, from, err := w.socket.Receive()
	switch {
	case errors.Is(err, unix.ENOBUFS):
		w.lost = true
	case err != nil:
		return nil, err
	case from.Pid != nl.PidKernel:
		return nil, nil
	}
	for _, m := range messages {
		h := unix.NlMsghdr(m.Header)
		w.lost = w.lost && h.Pid != w.port // An error is an answer, too.
		if h.Type != unix.RTM_NEWLINK {
			continue
		}
		link, err := netlink.LinkDeserialize(&h, m.Data)
		if err != nil || link.Attrs().Index != w.index {
			continue
		}
		mtus = append(mtus, link.Attrs().MTU)
	}
	if w.lost {
		return mtus, w.ask()
	}
	return mtus, nil
}

// ask has the kernel tell what the interface is like now. There may be no room
// for the answer as long as there is anything to hear before it.
func (w *mtuWatch) ask() error {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(w.index)
	request.AddData(message)
	return w.socket.Send(request)
}

// close ends the watch and waits until set is not called any more.
func (w *mtuWatch) close() {
	w.socket.Close()
	<-w.done
}

// cancel ends a watch that nobody follows.
func (w *mtuWatch) cancel() { w.socket.Close() }
