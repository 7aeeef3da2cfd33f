package e2e

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/v6stack/v6stack/internal/wire"
)

// TestFragmentOrders sends datagrams of one to five fragments in every order
// there is.
func TestFragmentOrders(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, size := range []int{8, 64, 1232} {
			t.Run(fmt.Sprintf("size=%d", size), func(t *testing.T) {
				n := startNode(t, nodeConfig{kind: k, mtu: 1280})
				wire, host := openTap(t, n.device), openHost(t)
				id := uint32(0)
				for pieces := 1; pieces <= 5; pieces++ {
					for _, order := range permutations(pieces) {
						id++
						sendInOrder(t, wire, host, id, size, order)
					}
				}
				n.checkClean(t, 2+6+24+120)
			})
		}
	})
}

// sendInOrder sends a datagram in pieces of size octets, the last one shorter
// by one, and waits for its echo.
func sendInOrder(t *testing.T, w *tap, host host, id uint32, size int, order []int) {
	t.Helper()
	payload := numbered(id, size*len(order)-8-1)
	fragments := host.datagram(id, payload, size)
	if len(fragments) != len(order) {
		t.Fatalf("%d fragments: want %d", len(fragments), len(order))
	}
	for _, i := range order {
		w.send(t, fragments[i])
	}
	t.Logf("order %v", order)
	host.expect(t, payload)
}

// numbered returns a payload of n octets that is no other number's, as far as
// there is room for that.
func numbered(number uint32, n int) []byte {
	if n < 0 {
		return nil
	}
	payload := wire.Payload(n)
	copy(payload, binary.BigEndian.AppendUint32(nil, number))
	return payload
}

// permutations returns every order of the numbers below n.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{{}}
	}
	var all [][]int
	for _, shorter := range permutations(n - 1) {
		for at := range n {
			order := append([]int(nil), shorter[:at]...)
			order = append(order, n-1)
			all = append(all, append(order, shorter[at:]...))
		}
	}
	return all
}
