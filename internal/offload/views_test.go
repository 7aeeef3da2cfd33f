package offload_test

import (
	"bytes"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
)

// inViews returns a buffer, the caller's, of octets in views that end at the
// given positions and at the end.
func inViews(octets []byte, ends ...int) buffer.Buffer {
	var b buffer.Buffer
	from := 0
	for _, end := range append(ends, len(octets)) {
		if end = min(end, len(octets)); end > from {
			part := buffer.MakeWithView(buffer.NewViewWithData(octets[from:end]))
			b.Merge(&part)
			from = end
		}
	}
	return b
}

// everyOctet returns the positions of views of one octet each.
func everyOctet(octets []byte) []int {
	var ends []int
	for i := range octets {
		ends = append(ends, i)
	}
	return ends
}

// flat returns the octets of b, and releases it.
func flat(b buffer.Buffer) []byte {
	octets := bytes.Clone(b.Flatten())
	b.Release()
	return octets
}

// split returns what Split makes of packet, which it releases.
func split(t testing.TB, j offload.Job, packet buffer.Buffer) [][]byte {
	t.Helper()
	var packets [][]byte
	err := j.Split(&packet, func(segment buffer.Buffer) { packets = append(packets, flat(segment)) })
	if err != nil {
		t.Fatalf("Split: %v", err)
	}
	if packet.Size() != 0 {
		t.Fatalf("%d octets of the packet are left", packet.Size())
	}
	return packets
}

// equal fails the test unless got is want, octet for octet.
func equal(t testing.TB, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("packet %d is\n%x, want\n%x", i, got[i], want[i])
		}
	}
}

// received returns octets as a packet that came in, unparsed, the caller's.
func received(octets []byte, ends ...int) *gstack.PacketBuffer {
	return gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: inViews(octets, ends...)})
}

// sent returns the draft's packet as gVisor sends it, with headers in a view of
// their own behind some room, the caller's.
func (d draft) sent() *gstack.PacketBuffer {
	octets := d.packet()
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{
		ReserveHeaderBytes: d.headers() + 14,
		Payload:            inViews(octets[d.headers():]),
	})
	copy(pkt.TransportHeader().Push(d.headers()-d.start()), octets[d.start():])
	copy(pkt.NetworkHeader().Push(d.start()), octets)
	return pkt
}
