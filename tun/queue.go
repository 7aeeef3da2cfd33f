package tun

import (
	"gvisor.dev/gvisor/pkg/buffer"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// headerSize is how many octets of a packet stand in a view of their own.
// gVisor's header work copies the whole chunk of a view that is shared; so it
// never copies a large one.
const headerSize = 128

// A queue is one way in and out of a device: one descriptor, which carries
// whole IP packets. One goroutine reads at a time; any number write.
type queue interface {
	// read waits for a packet. The caller owns the buffer, whose first
	// octets, headerSize at most, are a view of their own. errStopped is
	// final, errTooLong is one packet's end, any other error may pass.
	read() (buffer.Buffer, error)
	// write sends one packet, of which it keeps nothing. errClosed is final,
	// any other error is one packet's end.
	write(pkt *gstack.PacketBuffer) error
	// stop makes read return errStopped, now and later. It does not wait.
	stop()
	// close waits for write and lets go of the descriptor; later writes get
	// errClosed. It is called once, after stop, when no read is under way.
	close() error
}
