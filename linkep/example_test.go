package linkep_test

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/linkep"
)

// Wrap the link endpoint you have, and create the NIC on the result.
func Example() {
	s := gstack.New(gstack.Options{
		NetworkProtocols:   []gstack.NetworkProtocolFactory{ipv6.NewProtocol},
		TransportProtocols: []gstack.TransportProtocolFactory{udp.NewProtocol},
	})
	defer s.Destroy()
	device := channel.New(64, 1500, "") // or fdbased, tun, your own

	endpoint, err := linkep.New(device, linkep.Options{
		Filter: func(pkt *gstack.PacketBuffer) bool { // sees ports in every packet
			fmt.Println("packet of", pkt.Data().Size(), "octets")
			return true
		},
	})
	if err != nil {
		panic(err)
	}
	if err := s.CreateNIC(1, endpoint); err != nil {
		panic(err)
	}

	for _, fragment := range exampleFragments() {
		device.InjectInbound(header.IPv6ProtocolNumber, fragment)
		fragment.DecRef()
	}
	// Output:
	// packet of 8048 octets
}

// exampleFragments returns a UDP datagram of 8,000 octets as it comes from a
// link with an MTU of 1,500.
func exampleFragments() (fragments []*gstack.PacketBuffer) {
	h := wire.Header{Source: netip.MustParseAddr("fd00:6::1"), Destination: netip.MustParseAddr("fd00:6::2")}
	message := h.UDP(4000, 7, make([]byte, 8000))
	for _, packet := range h.Split(1, wire.UDPProtocol, message, 1448) {
		fragments = append(fragments, newPacket(packet))
	}
	return fragments
}
