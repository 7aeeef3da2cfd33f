package e2e

import (
	"testing"

	"github.com/v6stack/v6stack/internal/wire"
)

// TestExtensionHeaders sends fragments with other extension headers before the
// Fragment header and behind it.
func TestExtensionHeaders(t *testing.T) {
	const size = 64
	options := wire.Options(2)
	var none wire.Extensions
	for i, test := range []struct {
		name   string
		before wire.Extensions
		behind bool // Destination Options
	}{
		{"hop-by-hop options", none.With(wire.HopByHop, options), false},
		{"destination options", none.With(wire.DestinationOptions, options), false},
		{"both", none.With(wire.HopByHop, options).With(wire.DestinationOptions, options), false},
		{"destination options behind", none, true},
		{"everywhere", none.With(wire.HopByHop, options).With(wire.DestinationOptions, options), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, k kind) {
				n := startNode(t, nodeConfig{kind: k})
				w, host := openTap(t, n.device), openHost(t)
				payload := numbered(uint32(i), 3*size)
				next, datagram := uint8(wire.UDPProtocol), toStack.UDP(host.port(), echoPort, payload)
				if test.behind {
					header := append([]byte{wire.UDPProtocol}, options[1:]...)
					next, datagram = wire.DestinationOptions, append(header, datagram...)
				}
				headers := toStack
				headers.Extensions = test.before
				fragments := headers.Split(uint32(i), next, datagram, size)
				for at := len(fragments) - 1; at >= 0; at-- {
					w.send(t, fragments[at])
				}
				host.expect(t, payload)
				n.checkClean(t, 1)
			})
		})
	}
}
