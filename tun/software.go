package tun

import (
	"gvisor.dev/gvisor/pkg/buffer"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
)

// isDone reports whether nothing is left undone in pkt, borrowed. What gVisor
// has cut itself has a type of its own.
func isDone(pkt *gstack.PacketBuffer) bool {
	return pkt.GSOOptions.Type != gstack.GSOTCPv4 && pkt.GSOOptions.Type != gstack.GSOTCPv6
}

// finish does in software what is left undone in pkt, borrowed, and calls send
// with each packet that comes of it, in order, which send takes over. Payload is
// shared with pkt. An error says that pkt is malformed; then nothing was sent.
func finish(pkt *gstack.PacketBuffer, send func(packet buffer.Buffer)) error {
	packet := pkt.ToBuffer()
	return offload.JobOfPacket(pkt).Split(&packet, send)
}
