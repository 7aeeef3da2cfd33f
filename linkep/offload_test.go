package linkep_test

import (
	"bytes"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/linkep"
)

// A witness is a dispatcher, a filter and a divert that keep the GSOOptions they
// see.
type witness struct{ filter, divert, up []gstack.GSO }

func (w *witness) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	w.up = append(w.up, pkt.GSOOptions)
}

func (w *witness) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// newWitness returns a witness above an endpoint on a link.
func newWitness(t *testing.T, policy defrag.Policy) (*witness, *channelLink) {
	t.Helper()
	w, lower := new(witness), newChannelLink()
	options := linkep.Options{
		Filter: func(pkt *gstack.PacketBuffer) bool {
			w.filter = append(w.filter, pkt.GSOOptions)
			return true
		},
		Divert: func(pkt *gstack.PacketBuffer, _ *defrag.Datagram) bool {
			w.divert = append(w.divert, pkt.GSOOptions)
			return false
		},
	}
	options.EngineConfig.Zone.Policy = policy
	e := newEndpoint(t, lower.endpoint(), options)
	e.Attach(w)
	t.Cleanup(func() { e.Attach(nil) })
	return w, lower
}

// large is what a link says of a large segment.
var large = gstack.GSO{
	Type: gstack.GSOTCPv6, NeedsCsum: true, CsumOffset: header.TCPChecksumOffset, MSS: 1000, L3HdrLen: header.IPv6MinimumSize,
}

// R31: what a link says of a large segment goes up with it, also past extension
// headers, and never with what came in fragments.
func TestLargeSegmentsGoUp(t *testing.T) {
	segment := inbound.TCPSegment(3, wire.Payload(9000))
	extended := inbound
	extended.Extensions = extended.Extensions.With(wire.HopByHop, wire.Options(1)).With(wire.DestinationOptions, wire.Options(2))
	first := inbound.Split(1, wire.TCP, segment, 4096)[0]
	for _, c := range []struct {
		name    string
		policy  defrag.Policy
		packets [][]byte
		want    gstack.GSO
		up      int
	}{
		{"whole", defrag.RFC8200, [][]byte{inbound.Packet(wire.TCP, segment)}, large, 1},
		{"behind extension headers", defrag.RFC8200, [][]byte{extended.Packet(wire.TCP, segment)}, large, 1},
		{"in fragments", defrag.RFC8200, inbound.Split(1, wire.TCP, segment, 1024), gstack.GSO{}, 1},
		{"in an atomic fragment", defrag.RFC8200, inbound.Split(1, wire.TCP, segment, 1<<15), gstack.GSO{}, 1},
		// Its end at no multiple of 8 has the engine pass it on.
		{"in a fragment passed on", defrag.Linux, [][]byte{inbound.Fragment(wire.Fragment{ID: 1, Next: wire.TCP, More: true}, first[48:147])}, gstack.GSO{}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, lower := newWitness(t, c.policy)
			for _, packet := range c.packets {
				pkt := newPacket(packet, 128)
				pkt.GSOOptions = large
				lower.InjectInbound(header.IPv6ProtocolNumber, pkt)
				pkt.DecRef()
			}
			for place, got := range map[string][]gstack.GSO{"filter": w.filter, "divert": w.divert, "up": w.up} {
				if len(got) != c.up || got[0] != c.want {
					t.Errorf("%s: %+v, want %d times %+v", place, got, c.up, c.want)
				}
			}
		})
	}
}

// A large segment that goes down is the link's to cut.
func TestLargeSegmentsGoDown(t *testing.T) {
	lower := newChannelLink()
	e := newEndpoint(t, lower.endpoint(), linkep.Options{})
	packet := inbound.Packet(wire.TCP, inbound.TCPSegment(0, wire.Payload(9000)))
	var packets gstack.PacketBufferList
	packets.PushBack(newPacket(packet))
	packets.AsSlice()[0].GSOOptions = large
	defer packets.Reset()
	if n, err := e.WritePackets(packets); n != 1 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	pkt := lower.Read()
	defer pkt.DecRef()
	if pkt.GSOOptions != large || !bytes.Equal(bytesOf(pkt), packet) {
		t.Errorf("%d octets with %+v", pkt.Size(), pkt.GSOOptions)
	}
}
