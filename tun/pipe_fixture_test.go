package tun_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/v6stack/v6stack/tun"
)

// pipeDeadline is how long anything may take that happens at once on an idle
// machine.
const pipeDeadline = 60 * time.Second

// Both ends of a pipe have one address of each family.
var (
	pipeEnds6 = [2]netip.Addr{netip.MustParseAddr("fd00:6::a"), netip.MustParseAddr("fd00:6::b")}
	pipeEnds4 = [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
)

// newPipe returns a pipe that the test closes.
func newPipe(t *testing.T, cfg tun.PipeConfig) (a, b *tun.Device) {
	t.Helper()
	a, b = tun.Pipe(cfg)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, b
}

// pipeStack returns a gVisor stack, the test's to end, whose NIC 1 is endpoint.
// It has the addresses of that end.
func pipeStack(t *testing.T, endpoint gstack.LinkEndpoint, end int) *gstack.Stack {
	t.Helper()
	s := gstack.New(gstack.Options{
		NetworkProtocols: []gstack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []gstack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
	})
	t.Cleanup(s.Destroy)
	if err := s.CreateNIC(1, endpoint); err != nil {
		t.Fatal(err)
	}
	for _, address := range []netip.Addr{pipeEnds4[end], pipeEnds6[end]} {
		protocol := tcpip.ProtocolAddress{
			Protocol:          pipeProtocol(address),
			AddressWithPrefix: tcpip.AddrFromSlice(address.AsSlice()).WithPrefix(),
		}
		if err := s.AddProtocolAddress(1, protocol, gstack.AddressProperties{}); err != nil {
			t.Fatal(err)
		}
	}
	s.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: 1},
		{Destination: header.IPv6EmptySubnet, NIC: 1},
	})
	return s
}

func pipeProtocol(address netip.Addr) tcpip.NetworkProtocolNumber {
	if address.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// pipeAddress returns an address of gVisor's.
func pipeAddress(address netip.Addr, port uint16) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFromSlice(address.AsSlice()), Port: port}
}

// pipeSink is a dispatcher that hands over a reference to each packet.
type pipeSink chan *gstack.PacketBuffer

func (s pipeSink) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	s <- pkt.IncRef()
}

func (s pipeSink) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// next returns the next packet, which the test releases.
func (s pipeSink) next(t *testing.T) *gstack.PacketBuffer {
	t.Helper()
	select {
	case pkt := <-s:
		t.Cleanup(pkt.DecRef)
		return pkt
	case <-time.After(pipeDeadline):
		t.Fatal("no packet came")
		return nil
	}
}

// pipeSegment returns a TCP segment from end 0 to end 1 over IPv6 with the given
// payload. Its checksum is the pseudo-header's only if pending is set.
func pipeSegment(payload []byte, pending bool) []byte {
	return pipePacket(header.TCPProtocolNumber, payload, func(transport []byte, sum uint16) {
		h := header.TCP(transport)
		h.Encode(&header.TCPFields{
			SrcPort: 1000, DstPort: 2000, SeqNum: 7, AckNum: 8,
			DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagAck | header.TCPFlagPsh, WindowSize: 500,
		})
		if pending {
			h.SetChecksum(sum)
		} else {
			h.SetChecksum(^h.CalculateChecksum(checksum.Checksum(payload, sum)))
		}
	}, header.TCPMinimumSize)
}

// pipeDatagram is pipeSegment for UDP.
func pipeDatagram(payload []byte) []byte {
	return pipePacket(header.UDPProtocolNumber, payload, func(transport []byte, sum uint16) {
		h := header.UDP(transport)
		h.Encode(&header.UDPFields{SrcPort: 1000, DstPort: 2000, Length: uint16(len(transport) + len(payload))})
		h.SetChecksum(^h.CalculateChecksum(checksum.Checksum(payload, sum)))
	}, header.UDPMinimumSize)
}

// pipePacket returns an IPv6 packet. encode writes the transport header, of that
// size, and gets the sum of the pseudo-header.
func pipePacket(protocol tcpip.TransportProtocolNumber, payload []byte, encode func([]byte, uint16), size int) []byte {
	source, destination := tcpip.AddrFrom16(pipeEnds6[0].As16()), tcpip.AddrFrom16(pipeEnds6[1].As16())
	length := size + len(payload)
	packet := make([]byte, header.IPv6MinimumSize+size, header.IPv6MinimumSize+length)
	header.IPv6(packet).Encode(&header.IPv6Fields{
		PayloadLength: uint16(length), TransportProtocol: protocol, HopLimit: 64,
		SrcAddr: source, DstAddr: destination,
	})
	encode(packet[header.IPv6MinimumSize:], header.PseudoHeaderChecksum(protocol, source, destination, uint16(length)))
	return append(packet, payload...)
}

// pipeOctets returns n octets that no shift maps onto themselves.
func pipeOctets(n int) []byte {
	octets := make([]byte, n)
	for i := range octets {
		octets[i] = byte(i) ^ byte(i>>8)*31
	}
	return octets
}

// pipeLarge is what GSOOptions say of pipeSegment's that are to be cut.
func pipeLarge(mss uint16) gstack.GSO {
	return gstack.GSO{
		Type: gstack.GSOTCPv6, NeedsCsum: true, CsumOffset: header.TCPChecksumOffset,
		MSS: mss, L3HdrLen: header.IPv6MinimumSize,
	}
}

// pipeWrite writes a packet of octets, as one view, and returns what became of
// it.
func pipeWrite(endpoint gstack.LinkEndpoint, octets []byte, gso gstack.GSO) (int, tcpip.Error) {
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithData(octets)})
	defer pkt.DecRef()
	pkt.GSOOptions = gso
	var list gstack.PacketBufferList
	list.PushBack(pkt)
	return endpoint.WritePackets(list)
}

// pipeContext returns a context that ends after the deadline.
func pipeContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pipeDeadline)
	t.Cleanup(cancel)
	return ctx
}
