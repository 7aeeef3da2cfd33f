package offload_test

import (
	"testing"

	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
)

// What was damaged is not coupled, be it anywhere: it would go on with a right
// checksum.
func TestDamagedAreNotCoupled(t *testing.T) {
	for _, v4 := range []bool{false, true} {
		drafts := flow(4, 60)
		for i := range drafts {
			drafts[i].v4 = v4
		}
		size := len(drafts[0].packet())
		for at, most := range []int{1, 1, 2, 3} {
			for octet := range size {
				pkts := packets(drafts)
				damaged := drafts[at].packet()
				damaged[octet] ^= 0x04
				pkts[at].DecRef()
				pkts[at] = received(damaged)
				var train offload.Train
				if got := train.Couple(pkts); got > most {
					t.Errorf("ipv4 %v, octet %d of packet %d: %d packets coupled", v4, octet, at, got)
				}
				release(pkts)
			}
		}
	}
}

// Packets cut off, with octets behind, or marked as large are not coupled.
func TestUnfitPackets(t *testing.T) {
	drafts := flow(3, 100)
	for name, spoil := range map[string]func(octets []byte) *gstack.PacketBuffer{
		"cut off":       func(p []byte) *gstack.PacketBuffer { return received(p[:len(p)-1]) },
		"octets behind": func(p []byte) *gstack.PacketBuffer { return received(append(p, 0)) },
		"data offset":   func(p []byte) *gstack.PacketBuffer { p[52] = 4 << 4; return received(p) },
		"stub":          func(p []byte) *gstack.PacketBuffer { p[5] = 19; return received(p[:59]) },
		"empty":         func([]byte) *gstack.PacketBuffer { return received(nil) },
		"large": func(p []byte) *gstack.PacketBuffer {
			pkt := received(p)
			pkt.GSOOptions = gstack.GSO{Type: gstack.GSOTCPv6, MSS: 99}
			return pkt
		},
	} {
		for at, want := range []int{1, 1, 2} {
			pkts := packets(drafts)
			pkts[at].DecRef()
			pkts[at] = spoil(drafts[at].packet())
			var train offload.Train
			if got := train.Couple(pkts); got != want {
				t.Errorf("%s at %d: %d packets coupled, want %d", name, at, got, want)
			}
			release(pkts)
		}
	}
}

// A checksum is taken on trust only where it is said to be unfinished.
func TestVouchedForOnly(t *testing.T) {
	drafts := flow(2, 100)
	for name, c := range map[string]struct {
		gso  gstack.GSO
		want int
	}{
		"nothing said":   {gstack.GSO{}, 1},
		"needs checksum": {gstack.GSO{Type: gstack.GSOTCPv6, MSS: 100, NeedsCsum: true}, 2},
		"needs none":     {gstack.GSO{Type: gstack.GSOTCPv6, MSS: 100}, 1},
		"software":       {gstack.GSO{Type: gstack.GSOGvisor, MSS: 100, NeedsCsum: true}, 1},
	} {
		pkts := packets(drafts)
		damaged := drafts[1].packet()
		damaged[40+16]++
		pkts[1].DecRef()
		pkts[1] = received(damaged)
		pkts[1].RXChecksumValidated = true
		pkts[1].GSOOptions = c.gso
		var train offload.Train
		if got := train.Couple(pkts); got != c.want {
			t.Errorf("%s: %d packets coupled, want %d", name, got, c.want)
		}
		release(pkts)
	}
}
