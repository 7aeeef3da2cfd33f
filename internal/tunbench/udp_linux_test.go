package tunbench

import (
	"net"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// smallDatagram is the length of a small datagram, in octets of payload.
const smallDatagram = 64

// BenchmarkUDP measures small datagrams, one way; an operation is one.
func BenchmarkUDP(b *testing.B) {
	for _, direction := range directions {
		b.Run("dir="+direction, func(b *testing.B) {
			for _, d := range devices {
				b.Run("device="+d.name, func(b *testing.B) {
					kernel, gvisor := connectUDP(b, startNetstack(b, d.open(b)))
					if direction == "up" {
						measureFlow(b, kernel, gvisor, smallDatagram)
					} else {
						measureFlow(b, gvisor, kernel, smallDatagram)
					}
				})
			}
		})
	}
}

// connectUDP returns a socket of the kernel and one of s, each connected to the
// other.
func connectUDP(b *testing.B, s *gstack.Stack) (kernel, gvisor net.Conn) {
	b.Helper()
	local := tcpip.FullAddress{Addr: tcpip.AddrFrom16(stackPrefix.Addr().As16()), Port: port}
	remote := tcpip.FullAddress{Addr: tcpip.AddrFrom16(hostPrefix.Addr().As16()), Port: port}
	gvisor, err := gonet.DialUDP(s, &local, &remote, ipv6.ProtocolNumber)
	if err != nil {
		b.Fatal(err)
	}
	return dialKernelUDP(b, port), gvisor
}

// dialKernelUDP returns a socket of the kernel at port, connected to a port of
// gVisor's side.
func dialKernelUDP(b *testing.B, remote int) net.Conn {
	b.Helper()
	conn, err := net.DialUDP("udp6",
		&net.UDPAddr{IP: hostPrefix.Addr().AsSlice(), Port: port},
		&net.UDPAddr{IP: stackPrefix.Addr().AsSlice(), Port: remote})
	if err != nil {
		b.Fatal(err)
	}
	if err := conn.SetReadBuffer(datagramRoom); err != nil {
		b.Fatal(err)
	}
	return conn
}
