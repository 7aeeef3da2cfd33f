package stack_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// What is for an address on another link goes up through that link's NIC, which
// relies on its link for checksums or does not: what is right arrives, however
// it came, and what is corrupted never does, unless the link it came from
// vouches for it.
func TestHandOver(t *testing.T) {
	for _, offloads := range []string{"", "a", "b", "ab"} {
		r := newRouter(t, 1500, 1500, withOffloads(offloads))
		p, err := r.ListenPacket("udp", "[2001:db8:b::ff]:7")
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		p.SetDeadline(time.Now().Add(patience))
		h := wire.Header{Source: hostA, Destination: routerB.Addr()}
		good := h.UDP(9, 7, []byte("right"))
		bad := h.UDP(9, 7, []byte("wrong"))
		bad[len(bad)-1] ^= 1
		if offloads != "a" && offloads != "ab" {
			inject(r.a, h.Packet(wire.UDPProtocol, bad))
		}
		fragmented := h.UDP(9, 7, wire.Payload(3000))
		fragmented[2000] ^= 1
		inject(r.a, h.Split(1, wire.UDPProtocol, fragmented, 1024)...)
		inject(r.a, h.Packet(wire.UDPProtocol, good))
		b := make([]byte, 4000)
		n, _, err := p.ReadFrom(b)
		if err != nil || string(b[:n]) != "right" {
			t.Errorf("offloads of %q: read %d octets, %q, %v", offloads, n, b[:min(n, 5)], err)
		}
	}
}

// A large segment for an address on another link arrives, whichever of the links
// has offloads.
func TestHandOverLargeSegments(t *testing.T) {
	for _, offloads := range []string{"", "a", "b", "ab"} {
		t.Run(offloads, func(t *testing.T) {
			r := newRouter(t, 1500, 1500, func(cfg *stack.Config) {
				withOffloads(offloads)(cfg)
				cfg.Clock = faketime.NewManualClock() // so that nothing is sent again
			})
			l, err := r.Listen("tcp", "[2001:db8:b::ff]:7")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			h := wire.Header{Source: hostA, Destination: routerB.Addr()}
			segment := wire.Segment{SourcePort: 99, DestinationPort: 7, Sequence: 1000, Flags: wire.SYN, Window: 60000}
			inject(r.a, h.Packet(wire.TCP, h.Segment(segment, nil)))
			answer := header.TCP(sent(t, r.a)[40:])
			segment.Sequence, segment.Acknowledgement, segment.Flags = 1001, answer.SequenceNumber()+1, wire.ACK
			want := wire.Payload(9000)
			large, gso := h.Segment(segment, want), gstack.GSO{}
			if offloads == "a" || offloads == "ab" {
				large, gso = h.Unsummed(segment, want), largeGSO(1000)
			}
			injectLarge(r.a, h.Packet(wire.TCP, large), gso)
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %v", err)
			}
		})
	}
}

// A checksum that is not where it is said to be is dropped.
func TestHandOverMalformed(t *testing.T) {
	r := newRouter(t, 1500, 1500, withOffloads("a"))
	h := wire.Header{Source: hostA, Destination: routerB.Addr()}
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithData(h.Packet(wire.TCP, make([]byte, 10)))})
	pkt.GSOOptions = largeGSO(1000)
	r.a.InjectInbound(header.IPv6ProtocolNumber, pkt)
	pkt.DecRef()
	r.wantDrop("a", stack.Malformed, 1)
}
