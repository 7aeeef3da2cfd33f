package e2e

import (
	"math/rand/v2"
	"testing"

	"github.com/v6stack/v6stack/internal/wire"
)

// TestGarbage sends what is no packet, or hardly one. What comes after must
// still be answered.
func TestGarbage(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		n := startNode(t, nodeConfig{kind: k})
		w, host := openTap(t, n.device), openHost(t)
		random := rand.New(rand.NewPCG(6, uint64(k.config.Backend)))
		for range 2000 {
			w.send(t, noise(random), damaged(random, host))
		}
		w.send(t, host.whole([]byte("still there")))
		for {
			echo, err := host.next(deadline())
			if err != nil {
				t.Fatalf("wait for the echo after the garbage: %v", err)
			}
			if string(echo) == "still there" {
				return
			}
		}
	})
}

// noise returns up to 1,500 random octets.
func noise(random *rand.Rand) []byte {
	packet := make([]byte, 1+random.IntN(1500))
	for i := range packet {
		packet[i] = byte(random.Uint32())
	}
	return packet
}

// damaged returns a fragment of an echoed datagram, with a few octets of its
// headers changed and perhaps its end cut off.
func damaged(random *rand.Rand, host host) []byte {
	fragments := host.datagram(random.Uint32N(4), wire.Payload(300), 64)
	packet := fragments[random.IntN(len(fragments))]
	for range 1 + random.IntN(3) {
		packet[random.IntN(56)] = byte(random.Uint32())
	}
	if random.IntN(4) == 0 {
		packet = packet[:1+random.IntN(len(packet))]
	}
	return packet
}
