package stack_test

import (
	"bytes"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// An offloading link cuts TCP packets of at most max octets itself, and checks
// what comes.
type offloading struct {
	*channel.Endpoint
	max uint32
}

func (*offloading) SupportedGSO() gstack.SupportedGSO { return gstack.HostGSOSupported }
func (o *offloading) GSOMaxSize() uint32              { return o.max }
func (*offloading) Capabilities() gstack.LinkEndpointCapabilities {
	return gstack.CapabilityRXChecksumOffload
}

// withOffloads has links a and b be offloading ones, as far as named.
func withOffloads(names string) func(*stack.Config) {
	return func(cfg *stack.Config) {
		for i := range cfg.Links {
			link := &cfg.Links[i]
			if ep, ok := link.Endpoint.(*channel.Endpoint); ok && strings.Contains(names, link.Name) {
				link.Endpoint = &offloading{ep, 65535}
			}
		}
	}
}

// largeGSO is what a link says of a packet that it left unfinished.
func largeGSO(mss int) gstack.GSO {
	return gstack.GSO{Type: gstack.GSOTCPv6, NeedsCsum: true, CsumOffset: header.TCPChecksumOffset, MSS: uint16(mss), L3HdrLen: 40}
}

// injectLarge has a link hand up a packet as one with offloads does: up to 128
// octets in a view of their own.
func injectLarge(ep *channel.Endpoint, packet []byte, gso gstack.GSO) {
	at := min(len(packet), 128)
	payload := buffer.MakeWithData(packet[:at])
	rest := buffer.MakeWithData(packet[at:])
	payload.Merge(&rest)
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: payload})
	pkt.GSOOptions = gso
	ep.InjectInbound(header.IPv6ProtocolNumber, pkt)
	pkt.DecRef()
}

// A departure is a packet that went to a link.
type departure struct {
	octets             []byte
	gso                gstack.GSO
	network, transport int // lengths of the headers that are marked
	protocol           tcpip.TransportProtocolNumber
}

// departures returns what went to a link.
func departures(ep *channel.Endpoint) (all []departure) {
	for pkt := ep.Read(); pkt != nil; pkt = ep.Read() {
		view := pkt.ToView()
		all = append(all, departure{
			octets:    bytes.Clone(view.AsSlice()),
			gso:       pkt.GSOOptions,
			network:   len(pkt.NetworkHeader().Slice()),
			transport: len(pkt.TransportHeader().Slice()),
			protocol:  pkt.TransportProtocolNumber,
		})
		view.Release()
		pkt.DecRef()
	}
	return all
}

// wantPlain checks that these finished packets went to a link, one hop on, and
// no others.
func wantPlain(t *testing.T, what string, ep *channel.Endpoint, want [][]byte) {
	t.Helper()
	got := departures(ep)
	if len(got) != len(want) {
		t.Errorf("%s: %d packets went, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if !bytes.Equal(got[i].octets, next(want[i])) {
			t.Errorf("%s: packet %d is\n%x\nwant\n%x", what, i, got[i].octets, next(want[i]))
		}
		if got[i].gso != (gstack.GSO{}) {
			t.Errorf("%s: packet %d has %+v", what, i, got[i].gso)
		}
	}
}

// A stream is TCP data as a link with offloads hands it up, and as it was on the
// wire.
type stream struct {
	header  wire.Header
	segment wire.Segment
	payload []byte
	mss     int
}

// newStream returns size octets from host A to host B; it is FIN and CWR, too.
func newStream(size, mss int) stream {
	return stream{
		header:  wire.Header{Source: hostA, Destination: hostB, TrafficClass: 2, FlowLabel: 0x12345},
		segment: wire.Segment{Sequence: 1<<32 - 5000, Acknowledgement: 7, Flags: wire.ACK | wire.PSH | wire.FIN | wire.CWR, Window: 99, Options: wire.Payload(12)},
		payload: wire.Payload(size),
		mss:     mss,
	}
}

// large returns the packet that a link with offloads hands up.
func (s stream) large() []byte {
	return s.header.Packet(wire.TCP, s.header.Unsummed(s.segment, s.payload))
}

// packets returns those on the wire.
func (s stream) packets() [][]byte { return s.header.Segments(s.segment, s.payload, s.mss) }

// headers returns the length of their headers.
func (s stream) headers() int { return len(s.large()) - len(s.payload) }

// traffic returns what counters are to say of it.
func (s stream) traffic() (traffic stack.Traffic) {
	for _, packet := range s.packets() {
		traffic.Packets++
		traffic.Octets += uint64(len(packet))
	}
	return traffic
}
