package tunbench

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/stack"
)

// BenchmarkFragments measures datagrams that travel in fragments, between the
// kernel and a stack of ours, one way; an operation is a datagram.
func BenchmarkFragments(b *testing.B) {
	for _, octets := range []int{8000, 60000} {
		for _, direction := range directions {
			b.Run(fmt.Sprintf("octets=%d/dir=%s", octets, direction), func(b *testing.B) {
				for _, d := range []device{plain, offload} {
					b.Run("device="+d.name, func(b *testing.B) {
						kernel, ours := connectStack(b, startStack(b, d.open(b)))
						if direction == "up" {
							measureFlow(b, kernel, ours, octets)
						} else {
							measureFlow(b, ours, kernel, octets)
						}
					})
				}
			})
		}
	}
}

// startStack starts a stack of ours, as v6stack run does. It ends with b.
func startStack(b *testing.B, endpoint gstack.LinkEndpoint) *stack.Stack {
	b.Helper()
	s, err := stack.New(stack.Config{Links: []stack.LinkConfig{{
		Name:      "tun",
		Endpoint:  endpoint,
		Addresses: []netip.Prefix{stackPrefix},
	}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// connectStack returns a socket of the kernel and one of s, each connected to
// the other.
func connectStack(b *testing.B, s *stack.Stack) (kernel, ours net.Conn) {
	b.Helper()
	remote := netip.AddrPortFrom(hostPrefix.Addr(), port)
	ours, err := s.DialContext(b.Context(), "udp", remote.String())
	if err != nil {
		b.Fatal(err)
	}
	local := ours.LocalAddr().(*net.UDPAddr)
	return dialKernelUDP(b, local.Port), ours
}
