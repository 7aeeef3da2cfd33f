package main

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/pcapng"
	"github.com/v6stack/v6stack/stack"
)

// Interfaces of the capture that --pcap writes.
const (
	wireInterface = iota
	reassembledInterface
)

// tapLink has what passes on a link written to a capture at path: by an
// endpoint below reassembly, which it puts around the link's, and by the
// link's filter above it. The caller closes the writer, after the stack.
func tapLink(link *stack.LinkConfig, path string) (*pcapng.Writer, error) {
	writer, err := pcapng.Create(path, "wire", "reassembled")
	if err != nil {
		return nil, err
	}
	link.Endpoint = newTap(link.Endpoint, writer)
	link.Filter = func(pkt *gstack.PacketBuffer) bool {
		writePacket(writer, reassembledInterface, pcapng.Inbound, pkt)
		return true
	}
	return writer, nil
}

// A tap is a link endpoint that writes down the packets of the one below it.
type tap struct {
	nested.Endpoint
	writer *pcapng.Writer
}

var (
	_ gstack.LinkEndpoint      = (*tap)(nil)
	_ gstack.NetworkDispatcher = (*tap)(nil)
)

func newTap(lower gstack.LinkEndpoint, writer *pcapng.Writer) *tap {
	t := &tap{writer: writer}
	t.Init(lower, t)
	return t
}

// DeliverNetworkPacket writes down a packet that came and passes it on.
func (t *tap) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	writePacket(t.writer, wireInterface, pcapng.Inbound, pkt)
	t.Endpoint.DeliverNetworkPacket(protocol, pkt)
}

// WritePackets writes down packets that go and passes them on.
func (t *tap) WritePackets(pkts gstack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		writePacket(t.writer, wireInterface, pcapng.Outbound, pkt)
	}
	return t.Endpoint.WritePackets(pkts)
}

// writePacket writes pkt, which stays the caller's. A TUN's packets have no
// link header.
func writePacket(writer *pcapng.Writer, iface int, direction pcapng.Direction, pkt *gstack.PacketBuffer) {
	view := pkt.ToView()
	writer.WritePacket(iface, direction, view.AsSlice())
	view.Release()
}
