package wgtun

import (
	wgdevice "golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// headerSize is how many octets of a packet stand in a view of their own, as
// [tun.Queue] wants it.
const headerSize = 128

// inbound is where packets are read to. The zero value is ready.
type inbound struct {
	buffers [][]byte
	sizes   []int
}

// read waits for packets and hands those that are there to deliver, which takes
// each over. There may be both packets and an error.
func (in *inbound) read(device wgdevice.Device, deliver func(*gstack.PacketBuffer)) error {
	if in.buffers == nil {
		in.grow(device.BatchSize())
	}
	n, err := device.Read(in.buffers, in.sizes, room)
	for i := range min(n, len(in.buffers)) {
		// One that does not fit says so, and is cut off.
		if size := in.sizes[i]; size <= longest {
			deliver(newPacket(in.buffers[i][room : room+size]))
		}
	}
	return err
}

// grow makes buffers for n packets.
func (in *inbound) grow(n int) {
	in.buffers = make([][]byte, n)
	in.sizes = make([]int, n)
	for i := range in.buffers {
		in.buffers[i] = make([]byte, room+longest)
	}
}

// newPacket returns a packet, the caller's, with a copy of octets.
func newPacket(octets []byte) *gstack.PacketBuffer {
	var payload buffer.Buffer
	for _, part := range [...][]byte{octets[:min(len(octets), headerSize)], octets[min(len(octets), headerSize):]} {
		if len(part) > 0 {
			view := buffer.MakeWithView(buffer.NewViewWithData(part))
			payload.Merge(&view)
		}
	}
	return gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: payload})
}
