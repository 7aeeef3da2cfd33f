package e2e

import (
	"slices"
	"testing"

	"github.com/v6stack/v6stack/internal/wire"
)

// TestTinyFragments sends a datagram of 65,000 octets in the smallest pieces
// there can be, first every other one, then those between.
func TestTinyFragments(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		n := startNode(t, nodeConfig{kind: k})
		w, host := openTap(t, n.device), openHost(t)
		payload := wire.Payload(65000)
		var evens, odds [][]byte
		for pair := range slices.Chunk(host.datagram(1, payload, 8), 2) {
			evens = append(evens, pair[0])
			odds = append(odds, pair[1:]...)
		}
		w.send(t, evens...)
		w.send(t, odds...)
		host.expect(t, payload)
		n.checkClean(t, 1)
	})
}
