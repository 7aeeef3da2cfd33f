package wgtun

import (
	"errors"
	"os"

	wgdevice "golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
)

var errNotIP = errors.New("wgtun: neither IPv4 nor IPv6")

// outbound writes packets in batches. A packet may be several on the wire, and
// they may be of several batches.
type outbound struct {
	device wgdevice.Device
	limit  int // packets of a batch
	// memory is where packets of a batch are put together, batch those that
	// are. The device may write behind them and ahead of them.
	memory, batch [][]byte
	// piece is the method add, bound once.
	piece func(buffer.Buffer)

	// current is the index of the packet that is being written, first that of
	// the one with which the batch began.
	current, first int
	// refused is how many packets were refused, all of them below decided.
	decided, refused int
	// gone says that the device is closed.
	gone bool
}

// init makes the outbound ready.
func (out *outbound) init(device wgdevice.Device) {
	out.device = device
	out.limit = device.BatchSize()
	out.piece = out.add
}

// write writes packets, borrowed, and returns how many went.
func (out *outbound) write(pkts []*gstack.PacketBuffer) (written int, err error) {
	out.first, out.decided, out.refused = 0, 0, 0
	for i, pkt := range pkts {
		out.current = i
		if err := out.prepare(pkt); err != nil {
			out.flush() // so that all before it are decided
			out.refuse(i)
		}
		if out.gone {
			break
		}
	}
	out.flush()
	if out.gone {
		return max(0, out.first-out.refused), os.ErrClosed
	}
	return len(pkts) - out.refused, nil
}

// prepare adds a packet, borrowed, to the batch, with what is left undone in it
// done. A device would refuse its whole batch for one that is not IP.
func (out *outbound) prepare(pkt *gstack.PacketBuffer) error {
	views, skip := pkt.AsViewList()
	if !isIP(views, skip) {
		return errNotIP
	}
	job := offload.JobOfPacket(pkt)
	if job == (offload.Job{}) {
		out.gather(views, skip)
		return nil
	}
	packet := pkt.ToBuffer()
	return job.Split(&packet, out.piece)
}

// isIP reports whether what stands behind the first skip octets of views begins
// like an IP packet.
func isIP(views buffer.ViewList, skip int) bool {
	for v := views.Front(); v != nil; v = v.Next() {
		if octets := v.AsSlice(); skip < len(octets) {
			version := octets[skip] >> 4
			return version == header.IPv4Version || version == header.IPv6Version
		}
		skip -= v.Size()
	}
	return false
}

// add adds a packet, which it takes over.
func (out *outbound) add(packet buffer.Buffer) {
	out.gather(packet.AsViewList(), 0)
	packet.Release()
}

// gather adds what stands behind the first skip octets of views, borrowed.
// Nothing is added once the device is gone.
func (out *outbound) gather(views buffer.ViewList, skip int) {
	if out.gone {
		return
	}
	if len(out.batch) == 0 {
		out.first = out.current
	}
	if len(out.batch) == len(out.memory) {
		out.memory = append(out.memory, make([]byte, room+longest))
	}
	octets := out.memory[len(out.batch)][:room]
	for v := views.Front(); v != nil; v = v.Next() {
		if skip >= v.Size() {
			skip -= v.Size()
			continue
		}
		octets = append(octets, v.AsSlice()[skip:]...)
		skip = 0
	}
	out.batch = append(out.batch, octets)
	if len(out.batch) == out.limit {
		out.flush()
	}
}

// flush writes the batch.
func (out *outbound) flush() {
	if len(out.batch) == 0 {
		return
	}
	_, err := out.device.Write(out.batch, room)
	clear(out.batch)
	out.batch = out.batch[:0]
	switch {
	case errors.Is(err, os.ErrClosed):
		out.gone = true
	case err != nil:
		for i := out.first; i <= out.current; i++ {
			out.refuse(i)
		}
	}
}

// refuse notes that the packet of index i was refused.
func (out *outbound) refuse(i int) {
	if i >= out.decided {
		out.decided = i + 1
		out.refused++
	}
}
