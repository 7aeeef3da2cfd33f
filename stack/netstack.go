package stack

import (
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// Buffers of sockets, in octets. gVisor gives a UDP socket 212 KiB, which is
// three datagrams of the largest size.
const (
	datagramBuffer = 4 << 20
	datagramMax    = 32 << 20
	streamDefault  = 512 << 10
	streamMax      = 4 << 20
)

// newNetstack returns a gVisor stack for one zone: Duplicate Address Detection
// off, so that addresses work at once, and forwarding off.
func newNetstack(clock tcpip.Clock) (*gstack.Stack, error) {
	s := gstack.New(gstack.Options{
		NetworkProtocols: []gstack.NetworkProtocolFactory{
			ipv6.NewProtocol,
			ipv4.NewProtocol,
		},
		TransportProtocols: []gstack.TransportProtocolFactory{
			tcp.NewProtocol,
			udp.NewProtocol,
			icmp.NewProtocol6,
			icmp.NewProtocol4,
		},
		Clock:       clock,
		HandleLocal: true,
	})
	if err := tune(s); err != nil {
		s.Destroy()
		return nil, err
	}
	return s, nil
}

// tune sets the options of a new stack. RACK is left off: gVisor's detects
// losses that are none when acknowledgements are slow to be handled.
func tune(s *gstack.Stack) error {
	var (
		sack     = tcpip.TCPSACKEnabled(true)
		recovery = tcpip.TCPRecovery(0)
		moderate = tcpip.TCPModerateReceiveBufferOption(true)
		receive  = tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: streamDefault, Max: streamMax}
		send     = tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: streamDefault, Max: streamMax}
	)
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &recovery, &moderate, &receive, &send} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("set %T: %v", option, err)
		}
	}
	for _, option := range []any{
		tcpip.ReceiveBufferSizeOption{Min: gstack.MinBufferSize, Default: datagramBuffer, Max: datagramMax},
		tcpip.SendBufferSizeOption{Min: gstack.MinBufferSize, Default: datagramBuffer, Max: datagramMax},
	} {
		if err := s.SetOption(option); err != nil {
			return fmt.Errorf("set %T: %v", option, err)
		}
	}
	return nil
}
