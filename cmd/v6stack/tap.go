package main

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	gso "github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/internal/pcapng"
	"github.com/v6stack/v6stack/stack"
)

// A tap is a link endpoint that shows the packets of the one below it, large TCP
// segments whole.
type tap struct {
	nested.Endpoint
	see func(pcapng.Direction, *gstack.PacketBuffer)
}

var (
	_ gstack.LinkEndpoint      = (*tap)(nil)
	_ gstack.GSOEndpoint       = (*tap)(nil)
	_ gstack.NetworkDispatcher = (*tap)(nil)
)

// newTap returns a tap on lower. Each packet is shown to see before it goes
// on, borrowed for the call; see is called by many goroutines at once.
func newTap(lower gstack.LinkEndpoint, see func(pcapng.Direction, *gstack.PacketBuffer)) *tap {
	t := &tap{see: see}
	t.Init(lower, t)
	return t
}

// DeliverNetworkPacket shows a packet that came and passes it on.
func (t *tap) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	t.see(pcapng.Inbound, pkt)
	t.Endpoint.DeliverNetworkPacket(protocol, pkt)
}

// WritePackets shows packets that go and passes them on.
func (t *tap) WritePackets(pkts gstack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		t.see(pcapng.Outbound, pkt)
	}
	return t.Endpoint.WritePackets(pkts)
}

// Interfaces of the capture that --pcap writes.
const (
	wireInterface = iota
	reassembledInterface
)

// captureLink has what passes on a link written to a capture at path: by a tap
// below reassembly, which it puts on the link's endpoint, and by the link's
// filter above it. The caller closes the writer, after the stack.
func captureLink(link *stack.LinkConfig, path string) (*pcapng.Writer, error) {
	writer, err := pcapng.Create(path, "wire", "reassembled")
	if err != nil {
		return nil, err
	}
	link.Endpoint = newTap(link.Endpoint, func(direction pcapng.Direction, pkt *gstack.PacketBuffer) {
		writePacket(writer, wireInterface, direction, pkt)
	})
	link.Filter = func(pkt *gstack.PacketBuffer) bool {
		writePacket(writer, reassembledInterface, pcapng.Inbound, pkt)
		return true
	}
	return writer, nil
}

// writePacket writes pkt, which stays as it is and the caller's. What its link
// leaves undone is done here: packets are shown as they cross the wire, a large
// TCP segment in those it stands for. A TUN's packets have no link header.
func writePacket(writer *pcapng.Writer, iface int, direction pcapng.Direction, pkt *gstack.PacketBuffer) {
	if job := gso.JobOfPacket(pkt); job != (gso.Job{}) {
		whole := pkt.ToBuffer()
		err := job.Split(&whole, func(segment buffer.Buffer) {
			writeSegment(writer, iface, direction, segment)
		})
		if err == nil {
			return
		}
	}
	view := pkt.ToView()
	writer.WritePacket(iface, direction, view.AsSlice())
	view.Release()
}

// writeSegment writes segment, which it takes over.
func writeSegment(writer *pcapng.Writer, iface int, direction pcapng.Direction, segment buffer.Buffer) {
	size := int(segment.Size())
	view := buffer.NewViewSize(size)
	// An error says that the segment ends here.
	_, _ = segment.ReadAt(view.AsSlice(), 0)
	writer.WritePacket(iface, direction, view.AsSlice())
	view.Release()
	segment.Release()
}
