package linkep_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/linkep"
)

// Packets without a Fragment header cost no allocation. This holds under the
// race detector, too: nothing on their way is pooled.
func TestPassThroughAllocatesNothing(t *testing.T) {
	options := inbound
	options.Extensions = behind(wire.HopByHop, wire.DestinationOptions)
	udp := inbound.UDP(peerPort, localPort, wire.Payload(1000))
	lower := newChannelLink()
	e := newEndpoint(t, lower.endpoint(), linkep.Options{Filter: func(*gstack.PacketBuffer) bool { return true }})
	e.Attach(discard{})
	for name, packet := range map[string][]byte{
		"UDP":               inbound.Packet(wire.UDPProtocol, udp),
		"extension headers": options.Packet(wire.UDPProtocol, udp),
	} {
		pkt := newPacket(packet, 40)
		defer pkt.DecRef()
		if n := testing.AllocsPerRun(1000, func() {
			e.DeliverNetworkPacket(header.IPv6ProtocolNumber, pkt)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Once warm, fragments cost no allocation either, from the fragment's
// PacketBuffer to the datagram's.
func TestFragmentsAllocateNothingOnceWarm(t *testing.T) {
	if raceDetector {
		t.Log("the race detector drops pooled objects at random: allocations are not counted")
		return
	}
	lower := newChannelLink()
	e := newEndpoint(t, lower.endpoint(), linkep.Options{})
	up := new(counter)
	e.Attach(up)
	packets := fragmentsOf(1, wire.Payload(20000), 1024)
	views := make([]*gstack.PacketBuffer, len(packets))
	for i, packet := range packets {
		views[i] = newPacket(packet)
		defer views[i].DecRef()
	}
	deliver := func() {
		for _, pkt := range views {
			e.DeliverNetworkPacket(header.IPv6ProtocolNumber, pkt)
		}
	}
	for range 100 {
		deliver()
	}
	// A garbage collection empties the pools now and then.
	if n := testing.AllocsPerRun(1000, deliver); n > 1 {
		t.Errorf("%v allocations for a datagram of %d fragments", n, len(packets))
	}
	if up.packets != 1101 {
		t.Errorf("%d datagrams went up, want 1101", up.packets)
	}
}

// A counter is a dispatcher that counts.
type counter struct {
	discard
	packets int
}

func (c *counter) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {
	c.packets++
}
