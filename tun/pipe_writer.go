package tun

import (
	"errors"
	"os"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
)

var errFull = errors.New("no room")

// A pipeWriter is what a write to a pipe takes. They are reused, so that a
// packet costs no allocation.
type pipeWriter struct {
	queue *pipeQueue
	timer *time.Timer // stopped between waits
	// tired says that this call has waited for room in vain.
	tired bool
	// headers is how many octets of the packet are copied, left what is left
	// undone in it.
	headers int
	left    gstack.GSO
	// refusal is what the packet, or a piece of it, met last.
	refusal error
	// piece is the method writePiece, bound once.
	piece func(buffer.Buffer)
}

var pipeWriters = sync.Pool{New: func() any {
	w := &pipeWriter{timer: time.NewTimer(roomWait)}
	w.timer.Stop()
	w.piece = w.writePiece
	return w
}}

// release gives the writer back, with nothing in it.
func (w *pipeWriter) release() {
	w.queue, w.tired = nil, false
	pipeWriters.Put(w)
}

// write writes a packet, borrowed. One piece refused is the packet refused; the
// error is os.ErrClosed itself if either end is closing.
func (w *pipeWriter) write(pkt *gstack.PacketBuffer) error {
	if offload.SizesOf(pkt).Largest > int(w.queue.mtu.Load()) {
		return errTooLong
	}
	// gVisor may write anew what it pushed, however long that is.
	w.headers = max(headerSize, pkt.HeaderSize())
	w.left, w.refusal = gstack.GSO{}, nil
	if !isDone(pkt) && !w.leave(pkt) {
		if err := finish(pkt, w.piece); err != nil {
			return err
		}
		return w.refusal
	}
	w.writePiece(pkt.ToBuffer())
	return w.refusal
}

// leave leaves to the other end what is left undone in pkt, borrowed, and
// reports whether it can.
func (w *pipeWriter) leave(pkt *gstack.PacketBuffer) bool {
	job := offload.JobOfPacket(pkt)
	if !w.queue.offload || job.Kind != offload.TCP || !job.Checksum {
		return false
	}
	protocol := header.IPv6ProtocolNumber
	if pkt.GSOOptions.Type == gstack.GSOTCPv4 {
		protocol = header.IPv4ProtocolNumber
	}
	w.left = job.GSO(protocol)
	return true
}

// writePiece writes one packet, which it takes over.
func (w *pipeWriter) writePiece(packet buffer.Buffer) {
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: apart(packet, w.headers)})
	pkt.GSOOptions = w.left
	if err := w.put(pkt); err != nil {
		pkt.DecRef()
		w.refusal = err
	}
}

// put puts a packet on its way, which takes it over unless there is an error.
func (w *pipeWriter) put(pkt *gstack.PacketBuffer) error {
	out := w.queue.out
	select {
	case out.packets <- pkt:
		return nil
	default:
	}
	if w.tired || !out.attended.Load() {
		return errFull
	}
	w.timer.Reset(roomWait)
	defer w.timer.Stop()
	select {
	case out.packets <- pkt:
		return nil
	case <-out.stopped:
		return os.ErrClosed
	case <-w.queue.in.stopped:
		return os.ErrClosed
	case <-w.timer.C:
		w.tired = true
		return errFull
	}
}

// apart returns packet, which it takes over, with a copy of the first n octets
// in a view of their own.
func apart(packet buffer.Buffer, n int) buffer.Buffer {
	if n = min(n, int(packet.Size())); n == 0 {
		return packet
	}
	headers := buffer.NewViewSize(n)
	_, _ = packet.ReadAt(headers.AsSlice(), 0) // They are there.
	packet.TrimFront(int64(n))
	whole := buffer.MakeWithView(headers)
	whole.Merge(&packet)
	return whole
}
