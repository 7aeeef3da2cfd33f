package stack_test

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A sink is a link that swallows what is sent to it.
type sink struct {
	*channel.Endpoint
	packets atomic.Int64
}

func newSink() *sink { return &sink{Endpoint: channel.New(1, 1500, "")} }

// WritePackets counts the packets.
func (s *sink) WritePackets(packets gstack.PacketBufferList) (int, tcpip.Error) {
	s.packets.Add(int64(packets.Len()))
	return packets.Len(), nil
}
