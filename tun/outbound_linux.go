package tun

import (
	"sync"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/rawfile"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
)

// A writer is what writing a packet takes. Writers are reused, so that a packet
// costs no allocation.
type writer struct {
	queue  *nativeQueue
	header virtioHeader
	train  offload.Train
	iovecs []unix.Iovec
	// refusal is what writing segments, one after the other, gave last.
	refusal unix.Errno
	// segment is the method writeSegment, bound once.
	segment func(buffer.Buffer)
}

var writers = sync.Pool{New: func() any {
	w := &writer{iovecs: make([]unix.Iovec, 0, 64)}
	w.segment = w.writeSegment
	return w
}}

// release gives the writer back, with nothing in it.
func (w *writer) release() {
	w.queue = nil
	w.reset()
	writers.Put(w)
}

// reset makes the writer ready for a packet.
func (w *writer) reset() {
	clear(w.iovecs)
	w.iovecs = w.iovecs[:0]
	w.header = virtioHeader{}
	if w.queue != nil && w.queue.virtio {
		w.iovecs = append(w.iovecs, rawfile.IovecFromBytes(w.header[:]))
	}
}

// maxTrain is how many packets are made one at most.
const maxTrain = 128

// write writes the first of pkts, borrowed, together with those behind it that
// make one large segment with it. It returns how many these are.
func (w *writer) write(pkts []*gstack.PacketBuffer) (int, unix.Errno) {
	w.reset()
	if len(pkts) > 1 && w.queue.passes(gstack.GSOTCPv6) && w.queue.passes(gstack.GSOTCPv4) {
		if n := w.train.Couple(pkts[:min(len(pkts), maxTrain)]); n > 1 && w.gatherTrain(pkts[:n]) {
			return n, w.writeGathered()
		}
		w.reset()
	}
	return 1, w.writeOne(pkts[0])
}

// passes reports whether large segments of that type pass whole.
func (q *nativeQueue) passes(kind gstack.GSOType) bool {
	return kind == gstack.GSOTCPv4 && q.features.TSO4 || kind == gstack.GSOTCPv6 && q.features.TSO6
}

// gatherTrain gathers packets, borrowed, that the writer's train has coupled. It
// reports whether one system call takes them.
func (w *writer) gatherTrain(pkts []*gstack.PacketBuffer) bool {
	headers, job := w.train.Headers(), w.train.Job()
	kind := gstack.GSOTCPv6
	if headers[0]>>4 == header.IPv4Version {
		kind = gstack.GSOTCPv4
	}
	w.describe(kind, headers[job.Start:], job, job.MSS+1) // more than one segment
	w.iovecs = append(w.iovecs, rawfile.IovecFromBytes(headers))
	for _, pkt := range pkts {
		w.iovecs = gather(w.iovecs, pkt, len(headers))
	}
	return len(w.iovecs) <= rawfile.MaxIovs
}

// writeOne writes a packet, borrowed; in segments, with checksums finished, if
// something is left undone in it that the system was not granted to do.
func (w *writer) writeOne(pkt *gstack.PacketBuffer) unix.Errno {
	if !isDone(pkt) && !w.leave(pkt) {
		return w.writeSegments(pkt)
	}
	w.iovecs = gather(w.iovecs, pkt, 0)
	return w.writeGathered()
}

// leave leaves to the system what is left undone in pkt, borrowed, and reports
// whether it can.
func (w *writer) leave(pkt *gstack.PacketBuffer) bool {
	if !w.queue.features.Checksum {
		return false
	}
	var tcp [header.TCPMinimumSize]byte
	job := offload.JobOfPacket(pkt)
	if copyOut(tcp[:], pkt, job.Start) < len(tcp) || job.Kind != offload.TCP || !job.Checksum {
		return false
	}
	headers := int(header.TCP(tcp[:]).DataOffset())
	payload := pkt.Size() - job.Start - headers
	if headers < header.TCPMinimumSize || payload < 0 || payload > job.MSS && !w.queue.passes(pkt.GSOOptions.Type) {
		return false
	}
	w.describe(pkt.GSOOptions.Type, tcp[:], job, payload)
	return true
}

// describe fills in the header ahead of a TCP packet with that TCP header and
// payload octets, of which job is left undone.
func (w *writer) describe(kind gstack.GSOType, tcp header.TCP, job offload.Job, payload int) {
	w.header.leaveChecksum(job.Start, job.Offset)
	if payload > job.MSS {
		w.header.leaveSegments(kind, job.Start+int(tcp.DataOffset()), job.MSS, tcp.Flags().Contains(header.TCPFlagCwr))
	}
}

// writeSegments does in software what is left undone in pkt, borrowed, and
// writes what comes of it. One segment refused is the packet refused.
func (w *writer) writeSegments(pkt *gstack.PacketBuffer) unix.Errno {
	w.refusal = 0
	if err := finish(pkt, w.segment); err != nil {
		return unix.EINVAL
	}
	return w.refusal
}

// writeSegment writes one packet, which it takes over.
func (w *writer) writeSegment(packet buffer.Buffer) {
	w.reset()
	w.iovecs = gatherViews(w.iovecs, packet.AsViewList(), 0)
	if errno := w.writeGathered(); errno != 0 {
		w.refusal = errno
	}
	packet.Release()
}

// writeGathered writes the packet whose octets were gathered.
func (w *writer) writeGathered() unix.Errno {
	if len(w.iovecs) == 0 {
		return unix.EINVAL
	}
	return w.queue.writev(w.iovecs)
}
