package tun

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A linkWatch hears of changes to the MTU of one interface, whoever makes them,
// and of its end.
type linkWatch struct {
	index  int // of the interface
	socket *nl.NetlinkSocket
	port   uint32        // of the socket
	done   chan struct{} // closed when nothing more is heard
	// lost says that the kernel had more to tell than it keeps for us, and has
	// not answered since what the interface is like. It is the goroutine's.
	lost bool
}

// watchLink begins to listen to what the kernel tells of the interface called
// name, in the namespace of the current thread. Either follow must be called or
// cancel.
func watchLink(name string) (*linkWatch, error) {
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
	return &linkWatch{index: link.Attrs().Index, socket: socket, port: port, done: make(chan struct{})}, nil
}

// follow tells set, in a goroutine, of each MTU that differs from the last one,
// which is mtu at first, and calls gone when the interface is no more. Close ends
// it.
func (w *linkWatch) follow(mtu int, set func(mtu uint32), gone func()) {
	go func() {
		defer close(w.done)
		for {
			heard, err := w.hear()
			if err != nil {
				return
			}
			for _, h := range heard {
				switch h {
				case mtu:
				case noLink:
					gone()
				default:
					mtu = h
					set(uint32(mtu))
				}
			}
		}
	}()
}

// noLink is the MTU of an interface that is no more.
const noLink = -1

// hear waits for news of links and returns the MTUs that the interface had, one
// after the other. An error is final.
func (w *linkWatch) hear() (mtus []int, err error) {
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
		if mtu, ok := w.mtuIn(&h, m.Data); ok {
			mtus = append(mtus, mtu)
		}
	}
	if w.lost {
		return mtus, w.ask()
	}
	return mtus, nil
}

// mtuIn returns the MTU that a message tells of; ok is false if it is not about
// that.
func (w *linkWatch) mtuIn(h *unix.NlMsghdr, data []byte) (mtu int, ok bool) {
	switch h.Type {
	case unix.NLMSG_ERROR: // The answer: there is no such interface.
		return noLink, h.Pid == w.port
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
	default:
		return 0, false
	}
	link, err := netlink.LinkDeserialize(h, data)
	switch {
	case err != nil || link.Attrs().Index != w.index:
		return 0, false
	case h.Type == unix.RTM_DELLINK:
		return noLink, true
	}
	return link.Attrs().MTU, true
}

// ask has the kernel tell what the interface is like now. There may be no room
// for the answer as long as there is anything to hear before it.
func (w *linkWatch) ask() error {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(w.index)
	request.AddData(message)
	return w.socket.Send(request)
}

// close ends the watch and waits until it tells nothing any more.
func (w *linkWatch) close() {
	w.socket.Close()
	<-w.done
}

// cancel ends a watch that nobody follows.
func (w *linkWatch) cancel() { w.socket.Close() }
