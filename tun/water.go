//go:build linux || darwin || windows

package tun

import (
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/songgao/water"
	"gvisor.dev/gvisor/pkg/buffer"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// waterQueue is an interface of the module water, which takes and gives each
// packet as one slice.
type waterQueue struct {
	device    *water.Interface
	mtu       int
	stopped   atomic.Bool
	closeOnce func() error
	next      *buffer.View // where the next packet is read to; the reader's

	// mu lets one writer in at a time.
	mu sync.Mutex
	// packet is the packet being written. mu guards it.
	packet []byte
	// refusal is what writing the packet, or a piece of it, gave last. mu
	// guards it.
	refusal error
	// piece is the method writePiece, bound once.
	piece func(buffer.Buffer)
}

func newWaterQueue(device *water.Interface, mtu int) *waterQueue {
	q := &waterQueue{
		device:    device,
		mtu:       mtu,
		closeOnce: sync.OnceValue(device.Close),
		packet:    make([]byte, 0, mtu),
	}
	q.piece = q.writePiece
	return q
}

// Read implements Queue.
func (q *waterQueue) Read(deliver func(*gstack.PacketBuffer)) error {
	if q.next == nil {
		// A packet that fills it was longer than the MTU, and perhaps cut off.
		q.next = buffer.NewViewSize(q.mtu + 1)
	}
	n, err := q.device.Read(q.next.AsSlice())
	switch {
	case q.stopped.Load():
		return os.ErrClosed
	case err != nil:
		return err
	case n > q.mtu:
		return errTooLong
	}
	deliver(gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: q.take(max(n, 0))}))
	return nil
}

// take returns the first n octets of what was read, the headers in a view of
// their own. What would fill less than a quarter of its chunk is copied out
// of it.
func (q *waterQueue) take(n int) buffer.Buffer {
	octets := q.next.AsSlice()[:n]
	headers := octets[:min(n, headerSize)]
	packet := buffer.MakeWithView(buffer.NewViewWithData(headers))
	rest := octets[len(headers):]
	switch {
	case len(rest) == 0:
	case len(rest) < q.next.Capacity()/4:
		appendView(&packet, buffer.NewViewWithData(rest))
	default:
		q.next.CapLength(n)
		q.next.TrimFront(len(headers))
		appendView(&packet, q.next)
		q.next = nil
	}
	return packet
}

// appendView chains view, which is packet's afterwards, without copying.
func appendView(packet *buffer.Buffer, view *buffer.View) {
	rest := buffer.MakeWithView(view)
	packet.Merge(&rest)
}

// Write implements Queue.
func (q *waterQueue) Write(pkts []*gstack.PacketBuffer) (written int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, pkt := range pkts {
		switch err := q.write(pkt); {
		case err == nil:
			written++
		case q.stopped.Load(), errors.Is(err, os.ErrClosed), isGone(err):
			return written, os.ErrClosed
		}
	}
	return written, nil
}

// write writes one packet, borrowed, or what it is to be cut into: the device
// does none of that. One piece refused is the packet refused. The caller holds
// mu.
func (q *waterQueue) write(pkt *gstack.PacketBuffer) error {
	q.refusal = nil
	if !isDone(pkt) {
		if err := finish(pkt, q.piece); err != nil {
			return err
		}
		return q.refusal
	}
	q.packet = slices.Grow(q.packet, pkt.Size())[:pkt.Size()]
	copyOut(q.packet, pkt, 0)
	q.send()
	return q.refusal
}

// writePiece writes one packet, which it takes over. The caller holds mu.
func (q *waterQueue) writePiece(packet buffer.Buffer) {
	views := packet.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		q.packet = append(q.packet, v.AsSlice()...)
	}
	packet.Release()
	q.send()
}

// send writes the octets in packet and forgets them. The caller holds mu.
func (q *waterQueue) send() {
	if _, err := q.device.Write(q.packet); err != nil {
		q.refusal = err
	}
	q.packet = q.packet[:0]
}

// Stop implements Queue. Closing is all that ends a read.
func (q *waterQueue) Stop() {
	q.stopped.Store(true)
	q.closeOnce()
}

// Close implements Queue.
func (q *waterQueue) Close() error {
	if q.next != nil {
		q.next.Release()
		q.next = nil
	}
	return q.closeOnce()
}
