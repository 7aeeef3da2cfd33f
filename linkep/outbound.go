package linkep

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// WritePackets implements [gstack.LinkEndpoint]. The packets go to the lower
// endpoint as they are. The error is nil, [tcpip.ErrNoBufferSpace] or
// [tcpip.ErrClosedForSend], whatever the lower endpoint's: gVisor panics on
// most others when it forwards.
func (e *Endpoint) WritePackets(packets gstack.PacketBufferList) (int, tcpip.Error) {
	if e.closed.Load() {
		return 0, &tcpip.ErrClosedForSend{}
	}
	n, err := e.lower.WritePackets(packets)
	return n, narrow(err)
}

// narrow maps an error of a link to one that gVisor's forwarding can take: one
// that may pass with the next packet to "no buffer space", any other to
// "closed".
func narrow(err tcpip.Error) tcpip.Error {
	switch err.(type) {
	case nil:
		return nil
	case *tcpip.ErrNoBufferSpace, *tcpip.ErrWouldBlock, *tcpip.ErrMessageTooLong:
		return &tcpip.ErrNoBufferSpace{}
	default:
		return &tcpip.ErrClosedForSend{}
	}
}
