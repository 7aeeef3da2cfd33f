package tun

import (
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
)

// frameSizes are the views into which a packet is read, in this order, each a
// whole chunk of gVisor's pools. The headers stand apart. Few views make large
// segments cheap, small ones in front keep little for what is small:
//
//	packet          views   octets pinned
//	  128               1             128
//	1,280, 1,500        2           2,176
//	9,000               3          18,560
//	65,535              4          84,096
//
// A packet that would pin more than four times its size is copied.
var frameSizes = [...]int{headerSize, 2048, 16384, 65536}

// smallPacket is the size, in octets, below which it does not matter how much of
// its two small views a packet uses.
const smallPacket = 544

// A frame is where the next packet is read to. It fills itself with views;
// those that a packet leaves unused serve the next. The zero value is ready.
// It is one goroutine's.
type frame struct {
	header virtioHeader
	views  [len(frameSizes)]*buffer.View
	// vector is the header and the views.
	vector [1 + len(frameSizes)]unix.Iovec
}

// iovecs returns the places to read to, all of them, with the header's or
// without. They stay the frame's.
func (f *frame) iovecs(withHeader bool) []unix.Iovec {
	for i, size := range frameSizes {
		if f.views[i] != nil {
			break // Packets use views from the front.
		}
		f.views[i] = buffer.NewViewSize(size)
		f.vector[1+i].Base = f.views[i].BasePtr()
		f.vector[1+i].SetLen(size)
	}
	if !withHeader {
		return f.vector[1:]
	}
	f.vector[0].Base = &f.header[0]
	f.vector[0].SetLen(virtioSize)
	return f.vector[:]
}

// take returns the first n octets, n > 0, of what was read. The caller owns
// the buffer.
func (f *frame) take(n int) buffer.Buffer {
	var packet buffer.Buffer
	for i := 0; n > 0; i++ {
		view := f.views[i]
		f.views[i] = nil
		view.CapLength(n)
		n -= view.Size()
		// All but the last are full, so that nothing is copied into them.
		packet.Append(view)
	}
	return unpinned(packet)
}

// unpinned returns packet, which it takes over, or one whose payload, all but
// the first view, is a copy, where it is less than a quarter of the memory that
// it would keep from others.
func unpinned(packet buffer.Buffer) buffer.Buffer {
	pinned := 0
	views := packet.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		pinned += v.Capacity()
	}
	if pinned <= 4*max(int(packet.Size()), smallPacket) {
		return packet
	}
	headers := views.Front()
	payload := buffer.NewView(int(packet.Size()) - headers.Size())
	for v := headers.Next(); v != nil; v = v.Next() {
		payload.Write(v.AsSlice())
	}
	dense, rest := buffer.MakeWithView(headers.Clone()), buffer.MakeWithView(payload)
	dense.Merge(&rest)
	packet.Release()
	return dense
}

// release gives the views back.
func (f *frame) release() {
	for i, view := range f.views {
		if view != nil {
			view.Release()
			f.views[i] = nil
		}
	}
}
