package tun

import (
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/rawfile"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// gather appends to iovecs what pkt consists of behind the first skip octets. It
// borrows the views of pkt, but where there are more than one system call takes:
// the rest of those is copied together.
func gather(iovecs []unix.Iovec, pkt *gstack.PacketBuffer, skip int) []unix.Iovec {
	views, offset := pkt.AsViewList()
	return gatherViews(iovecs, views, offset+skip)
}

// gatherViews is gather for views, of which the first skip octets are left out.
func gatherViews(iovecs []unix.Iovec, views buffer.ViewList, skip int) []unix.Iovec {
	for view := views.Front(); view != nil; view = view.Next() {
		octets := view.AsSlice()
		if skip >= len(octets) {
			skip -= len(octets)
			continue
		}
		octets = octets[skip:]
		skip = 0
		if len(iovecs) == rawfile.MaxIovs-1 && view.Next() != nil {
			octets = join(octets, view.Next())
			return append(iovecs, rawfile.IovecFromBytes(octets))
		}
		iovecs = append(iovecs, rawfile.IovecFromBytes(octets))
	}
	return iovecs
}

// join returns a copy of octets and of what view and those behind it hold.
func join(octets []byte, view *buffer.View) []byte {
	size := len(octets)
	for v := view; v != nil; v = v.Next() {
		size += v.Size()
	}
	joined := append(make([]byte, 0, size), octets...)
	for v := view; v != nil; v = v.Next() {
		joined = append(joined, v.AsSlice()...)
	}
	return joined
}
