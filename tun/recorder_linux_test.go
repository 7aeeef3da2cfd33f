package tun_test

import (
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// patience is how long anything may take that happens at once on an idle
// machine.
const patience = 60 * time.Second

// packet is a packet as it was delivered.
type packet struct {
	protocol tcpip.NetworkProtocolNumber
	octets   []byte
	// views are the sizes of its views, chunks the capacities of their chunks.
	views, chunks []int
	// left is what was left undone, vouched whether somebody stands for the
	// checksums.
	left    gstack.GSO
	vouched bool
}

// recorder is a dispatcher that keeps what it is given.
type recorder struct{ packets chan packet }

func newRecorder() *recorder { return &recorder{make(chan packet, 4096)} }

// DeliverNetworkPacket implements gstack.NetworkDispatcher. When full, it
// drops packets like any network.
func (r *recorder) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	p := packet{protocol: protocol, left: pkt.GSOOptions, vouched: pkt.RXChecksumValidated}
	views, _ := pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		p.octets = append(p.octets, v.AsSlice()...)
		p.views = append(p.views, v.Size())
		p.chunks = append(p.chunks, v.Capacity())
	}
	select {
	case r.packets <- p:
	default:
	}
}

// DeliverLinkPacket implements gstack.NetworkDispatcher.
func (r *recorder) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// next returns the next packet that satisfies want.
func (r *recorder) next(t testing.TB, want func(packet) bool) packet {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case p := <-r.packets:
			if want(p) {
				return p
			}
		case <-deadline:
			t.Fatal("no such packet was delivered")
		}
	}
}

func anyPacket(packet) bool { return true }

// udpPacket returns an IPv6 packet with a UDP datagram.
func udpPacket(from, to netip.AddrPort, payload []byte) []byte {
	length := header.UDPMinimumSize + len(payload)
	octets := make([]byte, header.IPv6MinimumSize+length)
	source, destination := tcpip.AddrFrom16(from.Addr().As16()), tcpip.AddrFrom16(to.Addr().As16())
	header.IPv6(octets).Encode(&header.IPv6Fields{
		PayloadLength:     uint16(length),
		TransportProtocol: header.UDPProtocolNumber,
		HopLimit:          64,
		SrcAddr:           source,
		DstAddr:           destination,
	})
	datagram := header.UDP(octets[header.IPv6MinimumSize:])
	copy(datagram.Payload(), payload)
	datagram.Encode(&header.UDPFields{SrcPort: from.Port(), DstPort: to.Port(), Length: uint16(length)})
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, source, destination, uint16(length))
	sum = ^datagram.CalculateChecksum(checksum.Checksum(payload, sum))
	if sum == 0 { // RFC 8200 section 8.1
		sum = 0xffff
	}
	datagram.SetChecksum(sum)
	return octets
}

// pattern returns n octets that no shift maps onto themselves.
func pattern(n int) []byte {
	octets := make([]byte, n)
	for i := range octets {
		octets[i] = byte(i) ^ byte(i>>8)*31
	}
	return octets
}

// split returns a packet whose views are the pieces of octets of the given
// sizes and, last, the rest.
func split(octets []byte, sizes ...int) *gstack.PacketBuffer {
	var payload buffer.Buffer
	for _, size := range append(sizes, len(octets)) {
		piece := buffer.MakeWithData(octets[:min(size, len(octets))])
		payload.Merge(&piece)
		octets = octets[min(size, len(octets)):]
	}
	return gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: payload})
}

// send writes a packet, whose reference it takes.
func send(e gstack.LinkEndpoint, pkt *gstack.PacketBuffer) (int, tcpip.Error) {
	defer pkt.DecRef()
	var list gstack.PacketBufferList
	list.PushBack(pkt)
	return e.WritePackets(list)
}
