package linkep_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/linkep"
)

// FuzzDeliver delivers any octets, twice, as one packet in views cut at any
// places, below a real NIC. Nothing may panic, block, or be left behind.
func FuzzDeliver(f *testing.F) {
	udp := inbound.UDP(peerPort, localPort, wire.Payload(40))
	hidden := inbound
	hidden.Extensions = behind(experiment)
	extended := inbound
	extended.Extensions = behind(wire.HopByHop, wire.Routing, wire.Mobility, wire.HIP, wire.Shim6).
		With(wire.AH, []byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for i, packet := range [][]byte{
		nil,
		inbound.Packet(wire.UDPProtocol, udp),
		fragmentsOf(1, wire.Payload(40), 8)[0],
		fragmentsOf(1, wire.Payload(40), 8)[5],
		inbound.Split(1, wire.UDPProtocol, udp, 800)[0], // atomic
		hidden.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, udp),
		extended.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, udp),
		inbound.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, Offset: 65528, More: true}, udp),
		inbound.Split(1, wire.ICMPv6, inbound.ICMP(135, 0, wire.Payload(20)), 800)[0],
		inbound.Packet(wire.FragmentHeader, []byte{wire.ICMPv6, 0, 0}),
	} {
		f.Add(packet, uint8(i%3), uint8(7*i), uint8(41), i%2 == 1, i%4 == 3)
	}
	f.Fuzz(func(t *testing.T, octets []byte, policy, cut1, cut2 uint8, framed, offload bool) {
		p := newFuzzed(t, defrag.Policy(policy%3), offload)
		for range 2 {
			p.deliver(octets, []int{int(cut1), int(cut2)}, framed)
		}
		p.clock.Advance(2 * defrag.DefaultTimeout)
		p.finish(t)
	})
}

// fuzzed is a node whose packets are counted out again.
type fuzzed struct {
	*node
	channel            *channelLink
	created, destroyed int
}

func newFuzzed(t testing.TB, policy defrag.Policy, offload bool) *fuzzed {
	lower := newChannelLink()
	if offload {
		lower.LinkEPCapabilities = gstack.CapabilityRXChecksumOffload
	}
	var options linkep.Options
	options.EngineConfig.Zone.Policy = policy
	options.Filter = func(pkt *gstack.PacketBuffer) bool {
		pkt.Data().PullUp(min(48, pkt.Data().Size()))
		return true
	}
	return &fuzzed{node: newNode(t, lower, options, local), channel: lower}
}

// deliver injects one packet. With framed, its first 14 octets are a link
// header.
func (p *fuzzed) deliver(octets []byte, cuts []int, framed bool) {
	p.created++
	views := newPacket(octets, cuts...)
	payload := views.ToBuffer()
	views.DecRef()
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{
		Payload:   payload,
		OnRelease: func() { p.destroyed++ },
	})
	if framed {
		pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	}
	p.channel.InjectInbound(protocolOf(octets), pkt)
	pkt.DecRef()
}

// protocolOf makes most packets IPv6.
func protocolOf(octets []byte) tcpip.NetworkProtocolNumber {
	if len(octets) > 0 && octets[0]>>4 == 4 {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}

// finish checks what the node sent and that it holds nothing any more.
func (p *fuzzed) finish(t testing.TB) {
	t.Helper()
	for pkt := p.channel.Read(); pkt != nil; pkt = p.channel.Read() {
		checkSent(t, pkt)
		pkt.DecRef()
	}
	total := p.Engine().Stats().Total
	if total.Queues != 0 || total.Fragments != 0 || total.Bytes != 0 {
		t.Errorf("held after the timeout: %+v", total)
	}
	p.stack.RemoveNIC(nicID)
	if p.created != p.destroyed {
		t.Errorf("%d packets delivered, %d released", p.created, p.destroyed)
	}
}

// checkSent checks that pkt is an IPv6 packet whose length and ICMPv6 checksum
// are right.
func checkSent(t testing.TB, pkt *gstack.PacketBuffer) {
	t.Helper()
	packet := bytesOf(pkt)
	ip := header.IPv6(packet)
	if !ip.IsValid(len(packet)) || len(packet) > header.IPv6MinimumMTU {
		t.Fatalf("sent %x", packet)
	}
	if ip.NextHeader() != wire.ICMPv6 {
		return
	}
	h := wire.Header{Source: addr(ip.SourceAddress()), Destination: addr(ip.DestinationAddress())}
	if sum := h.Checksum(wire.ICMPv6, packet[40:]); sum != 0 {
		t.Fatalf("sent %x: checksum is off by %#x", packet, sum)
	}
}

// FuzzTransport delivers a datagram with any upper layer in fragments below a
// NIC that verifies no checksum: what goes up is right, and is what was sent.
func FuzzTransport(f *testing.F) {
	f.Add(inbound.UDP(peerPort, localPort, wire.Payload(100)), uint8(wire.UDPProtocol), uint8(3))
	f.Add(inbound.Echo(1, 2, wire.Payload(100)), uint8(wire.ICMPv6), uint8(1))
	f.Add(append(short(wire.TCP), wire.Payload(60)...), uint8(wire.DestinationOptions), uint8(4))
	f.Fuzz(func(t *testing.T, message []byte, next, units uint8) {
		if len(message) > 4096 {
			return
		}
		p := newTap(t, defrag.RFC8200, gstack.CapabilityRXChecksumOffload)
		for _, packet := range inbound.Split(1, next, message, 8*(int(units)+1)) {
			p.lower.send(t, packet)
		}
		for _, up := range p.up.packets {
			checkUp(t, up.octets, next, message)
		}
	})
}

func checkUp(t testing.TB, packet []byte, next uint8, message []byte) {
	t.Helper()
	want := buffer.MakeWithData(inbound.Packet(next, message))
	defer want.Release()
	if string(want.Flatten()) != string(packet) {
		t.Fatalf("up %x, want %x", packet, want.Flatten())
	}
	if next == wire.ICMPv6 && inbound.Checksum(wire.ICMPv6, message) != 0 {
		t.Fatalf("up %x: checksum is wrong", packet)
	}
}
