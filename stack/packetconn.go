package stack

import (
	"bytes"
	"errors"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/waiter"
)

var (
	_ net.PacketConn = (*packetConn)(nil)
	_ net.Conn       = (*packetConn)(nil)
)

// A packetConn is a UDP socket. It says net.ErrClosed when it is closed, and
// sends to any net.Addr that reads as an address, scoped to a link or not.
type packetConn struct {
	datagrams
	closable
	endpoint tcpip.Endpoint
	zone     *Zone
}

// datagrams hides the Close of gonet's sockets behind that of [closable].
type datagrams struct{ *gonet.UDPConn }

func newPacketConn(queue *waiter.Queue, endpoint tcpip.Endpoint, zone *Zone) *packetConn {
	p := &packetConn{
		datagrams: datagrams{gonet.NewUDPConn(queue, endpoint)},
		endpoint:  endpoint,
		zone:      zone,
	}
	p.open(zone.life, "udp", endpoint.Close)
	return p
}

// Read reads one datagram; what does not fit in b is lost.
func (p *packetConn) Read(b []byte) (int, error) {
	n, _, err := p.ReadFrom(b)
	return n, err
}

// ReadFrom reads one datagram; what does not fit in b is lost.
func (p *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, addr, err := p.UDPConn.ReadFrom(b)
	return n, addr, p.fault("read", err)
}

// Write sends one datagram to the address the socket is connected to.
func (p *packetConn) Write(b []byte) (int, error) {
	n, err := p.UDPConn.Write(b)
	return n, p.fault("write", err)
}

// WriteTo sends one datagram to addr, a *net.UDPAddr or any address that reads
// as "[fd00::1%link]:80".
func (p *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, err := p.destination(addr)
	if err != nil {
		return 0, &net.OpError{Op: "write", Net: "udp", Addr: addr, Err: err}
	}
	if to.NIC == 0 {
		n, err := p.UDPConn.WriteTo(b, &net.UDPAddr{IP: to.Addr.AsSlice(), Port: int(to.Port)})
		return n, p.fault("write", err)
	}
	n, terr := p.endpoint.Write(bytes.NewReader(b), tcpip.WriteOptions{To: &to})
	if terr != nil {
		err = &net.OpError{Op: "write", Net: "udp", Addr: addr, Err: errors.New(terr.String())}
	}
	return int(n), p.fault("write", err)
}

// destination returns addr in gVisor's terms.
func (p *packetConn) destination(addr net.Addr) (tcpip.FullAddress, error) {
	if addr == nil {
		return tcpip.FullAddress{}, errors.New("no address to send to")
	}
	parsed, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return tcpip.FullAddress{}, err
	}
	t := target{transport: "udp"}
	t.address.Port = parsed.Port()
	err = p.zone.setHost(&t, parsed.Addr().Unmap(), "")
	return t.address, err
}
