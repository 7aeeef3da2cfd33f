package linkep_test

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/linkep"
)

const (
	nicID    = 1
	peerMAC  = tcpip.LinkAddress("\x02\x00\x00\x00\x00\x01")
	localMAC = tcpip.LinkAddress("\x02\x00\x00\x00\x00\x02")
)

var (
	peer  = netip.MustParseAddr("fd00:6::1")
	local = netip.MustParseAddr("fd00:6::2")

	inbound = wire.Header{Source: peer, Destination: local}
)

// newStack returns a gVisor stack that sends nothing unasked. It is destroyed
// when the test ends.
func newStack(t testing.TB) *gstack.Stack {
	t.Helper()
	s := gstack.New(gstack.Options{
		NetworkProtocols: []gstack.NetworkProtocolFactory{
			ipv4.NewProtocol,
			ipv6.NewProtocolWithOptions(ipv6.Options{DADConfigs: gstack.DADConfigurations{}}),
		},
		TransportProtocols: []gstack.TransportProtocolFactory{udp.NewProtocol, icmp.NewProtocol6},
	})
	t.Cleanup(s.Destroy)
	return s
}

// addNIC creates a NIC with our address on e, and a route for everything.
func addNIC(t testing.TB, s *gstack.Stack, id tcpip.NICID, e gstack.LinkEndpoint, addresses ...netip.Addr) {
	t.Helper()
	if err := s.CreateNIC(id, e); err != nil {
		t.Fatalf("create NIC: %v", err)
	}
	for _, address := range addresses {
		addAddress(t, s, id, address)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv6EmptySubnet, NIC: id}})
	if e.Capabilities()&gstack.CapabilityResolutionRequired != 0 {
		if err := s.AddStaticNeighbor(id, header.IPv6ProtocolNumber, address(peer), peerMAC); err != nil {
			t.Fatalf("add neighbor: %v", err)
		}
	}
}

func addAddress(t testing.TB, s *gstack.Stack, id tcpip.NICID, a netip.Addr) {
	t.Helper()
	p := tcpip.ProtocolAddress{Protocol: header.IPv6ProtocolNumber, AddressWithPrefix: address(a).WithPrefix()}
	if err := s.AddProtocolAddress(id, p, gstack.AddressProperties{}); err != nil {
		t.Fatalf("add address %v: %v", a, err)
	}
}

// addr is the inverse of address.
func addr(a tcpip.Address) netip.Addr { return netip.AddrFrom16(a.As16()) }

func address(a netip.Addr) tcpip.Address { return tcpip.AddrFrom16(a.As16()) }

// newEndpoint returns an endpoint on lower. It is closed when the test ends,
// if it was not before.
func newEndpoint(t testing.TB, lower gstack.LinkEndpoint, options linkep.Options) *linkep.Endpoint {
	t.Helper()
	e, err := linkep.New(lower, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// newClock returns a clock that stands still until told.
func newClock() *faketime.ManualClock { return faketime.NewManualClock() }

// newPacket returns an inbound packet; cuts are the lengths of its views but
// for the last.
func newPacket(octets []byte, cuts ...int) *gstack.PacketBuffer {
	var payload buffer.Buffer
	for _, cut := range cuts {
		cut = min(cut, len(octets))
		if cut > 0 {
			piece := buffer.MakeWithData(octets[:cut])
			payload.Merge(&piece)
		}
		octets = octets[cut:]
	}
	rest := buffer.MakeWithData(octets)
	payload.Merge(&rest)
	return gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: payload})
}

// bytesOf returns a copy of all of pkt, its link header included.
func bytesOf(pkt *gstack.PacketBuffer) []byte {
	b := pkt.ToBuffer()
	defer b.Release()
	return b.Flatten()
}

// A recorder is a dispatcher that keeps copies of what goes up. It is no NIC.
type recorder struct {
	packets []recorded
	pkt     *gstack.PacketBuffer
}

type recorded struct {
	protocol tcpip.NetworkProtocolNumber
	octets   []byte // link header included
	link     []byte // link header
}

func (r *recorder) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	r.pkt = pkt
	link := append([]byte(nil), pkt.LinkHeader().Slice()...)
	r.packets = append(r.packets, recorded{protocol, bytesOf(pkt), link})
}

func (r *recorder) DeliverLinkPacket(protocol tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	r.DeliverNetworkPacket(protocol, pkt)
}

// discard is a dispatcher that drops all.
type discard struct{}

func (discard) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}
func (discard) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer)    {}

// traffic is what the far end sends while things are torn down: echo requests,
// for whose replies gVisor takes the stack's lock, whole, in fragments, and in
// half datagrams that stay behind.
func traffic() [][]byte {
	echo := inbound.Echo(1, 1, wire.Payload(3000))
	packets := inbound.Split(1, wire.ICMPv6, echo, 1024)
	packets = append(packets, inbound.Packet(wire.ICMPv6, inbound.Echo(1, 2, wire.Payload(64))))
	return append(packets, inbound.Split(2, wire.ICMPv6, echo, 1024)[0])
}
