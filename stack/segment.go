package stack

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
)

// A cut is what a TCP packet comes to that a link has left to be cut into
// segments, or to be summed. For any other packet job is zero.
type cut struct {
	job     offload.Job
	sizes   offload.Sizes // Count is 0 while they are not known
	headers int           // octets of all headers; 0 if they are cut off
}

// measure finds out what the packet comes to on the wire, once.
func (t *transit) measure() {
	if t.sizes.Count != 0 {
		return
	}
	t.sizes = offload.Sizes{Count: 1, Largest: t.size, Octets: t.size}
	if t.datagram != nil || t.pkt.GSOOptions.Type == gstack.GSONone {
		return // R31: what came in fragments has been summed by its source.
	}
	whole := t.buffer()
	t.job = offload.JobOf(t.pkt.GSOOptions, &whole)
	if t.unfinished() {
		t.sizes = t.job.Sizes(&whole)
		t.headers = headersOf(&whole, t.job.Start)
	}
	whole.Release()
}

// unfinished reports whether the link has left something to be done. The
// packet has been measured.
func (t *transit) unfinished() bool { return t.job != offload.Job{} }

// headersOf returns the length of packet's headers through TCP's, which begins
// at start; 0 if packet ends before. It borrows packet.
func headersOf(packet *buffer.Buffer, start int) int {
	var octet [1]byte
	// An error says that the packet ends here, which is no harm.
	n, _ := packet.ReadAt(octet[:], int64(start+header.TCPDataOffset))
	length := int(octet[0]>>4) * 4
	if n == 0 || length < header.TCPMinimumSize || start+length > int(packet.Size()) {
		return 0
	}
	return start + length
}

// takes reports whether the link itself cuts TCP packets of so many octets into
// segments, and sums them.
func (l *link) takes(octets int) bool {
	return l.endpoint.SupportedGSO() == gstack.HostGSOSupported && octets <= int(l.endpoint.GSOMaxSize())
}

// addCut adds a packet that the link it came from has left unfinished: whole if
// the link it goes to finishes it, else in segments that are. It takes packet
// over. The error says that it cannot be cut; then nothing was added.
func (b *batch) addCut(packet buffer.Buffer, c *cut) error {
	if !b.out.takes(int(packet.Size())) {
		return c.job.Split(&packet, b.add)
	}
	pkt := b.newPacket(packet)
	pkt.NetworkHeader().Consume(c.job.Start)
	pkt.TransportHeader().Consume(c.headers - c.job.Start)
	pkt.TransportProtocolNumber = header.TCPProtocolNumber
	pkt.GSOOptions = c.job.GSO(header.IPv6ProtocolNumber)
	b.pushBack(pkt, c.sizes)
	return nil
}
