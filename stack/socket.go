package stack

import (
	"context"
	"errors"
	"net"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// backlog is how many connections wait to be accepted, as Linux's
// net.core.somaxconn.
const backlog = 4096

// DialContext connects to address over network: "tcp", "udp", or one of them
// with "4" or "6" behind it. Addresses are literals with a numeric port. It
// gives up when ctx is done or the stack closes. The connection is the
// caller's to close.
func (z *Zone) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	t, err := z.parseTarget(network, address)
	if err == nil && t.address.Addr.Len() == 0 {
		err = &net.AddrError{Err: "no host to dial", Addr: address}
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if !z.life.begin() {
		return nil, &net.OpError{Op: "dial", Net: network, Err: ErrClosed}
	}
	defer z.life.done()
	ctx, cancel := z.life.context(ctx)
	defer cancel()
	if t.transport == "udp" {
		return z.dialUDP(ctx, &t)
	}
	inner, err := gonet.DialContextTCP(ctx, z.netstack, t.address, t.protocol)
	if err != nil {
		return nil, z.dialError(network, address, err)
	}
	return newConn(inner, z.life), nil
}

// dialError says why a dial failed: the stack's end comes first.
func (z *Zone) dialError(network, address string, err error) error {
	if z.life.hasEnded() {
		err = ErrClosed
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	return &net.OpError{Op: "dial", Net: network, Addr: literal{network, address}, Err: err}
}

// dialUDP returns a UDP socket connected to t.
func (z *Zone) dialUDP(ctx context.Context, t *target) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, z.dialError("udp", "", err)
	}
	var queue waiter.Queue
	endpoint, err := z.newEndpoint(t, &queue)
	if err != nil {
		return nil, opError("dial", t, err)
	}
	if err := endpoint.Connect(t.address); err != nil {
		endpoint.Close()
		return nil, opError("dial", t, err)
	}
	return newPacketConn(&queue, endpoint, z), nil
}

// Listen listens for connections to address over network: "tcp", "tcp4" or
// "tcp6". An empty host is every address of the zone; port 0 picks a free one.
// The listener is the caller's to close.
func (z *Zone) Listen(network, address string) (net.Listener, error) {
	t, err := z.parseTarget(network, address)
	if err == nil && t.transport != "tcp" {
		err = net.UnknownNetworkError(network)
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	var queue waiter.Queue
	if !z.life.begin() {
		return nil, &net.OpError{Op: "listen", Net: network, Err: ErrClosed}
	}
	defer z.life.done()
	endpoint, err := z.bind(&t, &queue)
	if err != nil {
		return nil, err
	}
	return newListener(gonet.NewTCPListener(z.netstack, &queue, endpoint), z.life), nil
}

// ListenPacket opens a UDP socket at address over network: "udp", "udp4" or
// "udp6". An empty host is every address of the zone; port 0 picks a free one.
// The socket sends and receives datagrams of up to 65,527 octets over IPv6,
// and is the caller's to close.
func (z *Zone) ListenPacket(network, address string) (net.PacketConn, error) {
	t, err := z.parseTarget(network, address)
	if err == nil && t.transport != "udp" {
		err = net.UnknownNetworkError(network)
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	var queue waiter.Queue
	if !z.life.begin() {
		return nil, &net.OpError{Op: "listen", Net: network, Err: ErrClosed}
	}
	defer z.life.done()
	endpoint, err := z.bind(&t, &queue)
	if err != nil {
		return nil, err
	}
	return newPacketConn(&queue, endpoint, z), nil
}

// bind returns an endpoint at t that listens, if it is one for connections.
func (z *Zone) bind(t *target, queue *waiter.Queue) (tcpip.Endpoint, error) {
	endpoint, err := z.newEndpoint(t, queue)
	if err != nil {
		return nil, opError("listen", t, err)
	}
	if err = endpoint.Bind(t.address); err == nil && t.transport == "tcp" {
		err = endpoint.Listen(backlog)
	}
	if err != nil {
		endpoint.Close()
		return nil, opError("listen", t, err)
	}
	return endpoint, nil
}

// newEndpoint returns an unbound endpoint for t.
func (z *Zone) newEndpoint(t *target, queue *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	transport := tcpip.TransportProtocolNumber(tcp.ProtocolNumber)
	if t.transport == "udp" {
		transport = udp.ProtocolNumber
	}
	endpoint, err := z.netstack.NewEndpoint(transport, t.protocol, queue)
	if err != nil {
		return nil, err
	}
	endpoint.SocketOptions().SetV6Only(t.only6)
	return endpoint, nil
}

// opError wraps an error of gVisor's.
func opError(op string, t *target, err tcpip.Error) error {
	addr := net.Addr(&net.TCPAddr{IP: t.address.Addr.AsSlice(), Port: int(t.address.Port)})
	if t.transport == "udp" {
		addr = &net.UDPAddr{IP: t.address.Addr.AsSlice(), Port: int(t.address.Port)}
	}
	return &net.OpError{Op: op, Net: t.transport, Addr: addr, Err: errors.New(err.String())}
}

// A literal is an address as it was given.
type literal struct{ network, address string }

func (l literal) Network() string { return l.network }
func (l literal) String() string  { return l.address }
