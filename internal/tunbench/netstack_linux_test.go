package tunbench

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// nic is the one interface of a gVisor stack.
const nic = 1

// Buffers of gVisor's sockets, in octets.
const (
	streamDefault = 1 << 20
	streamMax     = 4 << 20
	datagramRoom  = 4 << 20
)

// startNetstack returns a gVisor stack over endpoint, with stackPrefix. It ends
// with b.
func startNetstack(b *testing.B, endpoint gstack.LinkEndpoint) *gstack.Stack {
	b.Helper()
	s := gstack.New(gstack.Options{
		NetworkProtocols:   []gstack.NetworkProtocolFactory{ipv6.NewProtocol},
		TransportProtocols: []gstack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol6},
	})
	b.Cleanup(func() {
		// Destroy detaches with the stack's lock held, for which fdbased's
		// deliveries may be waiting that it waits for.
		endpoint.Attach(nil)
		s.Destroy()
	})
	tune(b, s)
	if err := s.CreateNIC(nic, endpoint); err != nil {
		b.Fatalf("create the interface: %v", err)
	}
	address := tcpip.ProtocolAddress{
		Protocol: ipv6.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{
			Address:   tcpip.AddrFrom16(stackPrefix.Addr().As16()),
			PrefixLen: stackPrefix.Bits(),
		},
	}
	if err := s.AddProtocolAddress(nic, address, gstack.AddressProperties{}); err != nil {
		b.Fatalf("add %v: %v", stackPrefix, err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv6EmptySubnet, NIC: nic}})
	return s
}

// tune sets the options of a stack, for every device the same.
func tune(b *testing.B, s *gstack.Stack) {
	b.Helper()
	var (
		sack     = tcpip.TCPSACKEnabled(true)
		moderate = tcpip.TCPModerateReceiveBufferOption(true)
		receive  = tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: streamDefault, Max: streamMax}
		send     = tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: streamDefault, Max: streamMax}
	)
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &receive, &send} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			b.Fatalf("set %T: %v", option, err)
		}
	}
	for _, option := range []any{
		tcpip.ReceiveBufferSizeOption{Min: gstack.MinBufferSize, Default: datagramRoom, Max: datagramRoom},
		tcpip.SendBufferSizeOption{Min: gstack.MinBufferSize, Default: datagramRoom, Max: datagramRoom},
	} {
		if err := s.SetOption(option); err != nil {
			b.Fatalf("set %T: %v", option, err)
		}
	}
}
