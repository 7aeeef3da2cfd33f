package defrag_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
	"gvisor.dev/gvisor/pkg/buffer"
)

var peers = wire.Header{
	Source:      netip.MustParseAddr("2001:db8::1"),
	Destination: netip.MustParseAddr("2001:db8::2"),
}

func TestSmoke(t *testing.T) {
	for _, size := range []int{8, 64, 1232} {
		for _, n := range []int{100, 8000, 65000} {
			for order := 0; order < 4; order++ {
				e, err := defrag.New(defrag.Config{})
				if err != nil {
					t.Fatal(err)
				}
				udp := peers.UDP(1, 2, wire.Payload(n))
				want := peers.Packet(17, udp)
				frags := peers.Split(7, 17, udp, size)
				arranged := arrange(frags, order)
				for i, f := range arranged {
					b := buffer.MakeWithData(f)
					v := e.Gather(&b, &defrag.Metadata{}, nil)
					last := i == len(arranged)-1
					switch {
					case len(frags) == 1:
						if v != defrag.Atomic {
							t.Fatal(v)
						}
					case !last && v != defrag.Held, last && v != defrag.Reassembled:
						t.Fatalf("fragment %d of %d: %v", i, len(frags), v)
					}
					if last && !bytes.Equal(b.Flatten(), want) {
						t.Fatalf("size %d n %d order %d: wrong datagram", size, n, order)
					}
					b.Release()
				}
				s := e.Stats()
				if s.Total.Queues != 0 || s.Total.Bytes != 0 {
					t.Fatalf("%+v", s.Total)
				}
				e.Close()
			}
		}
	}
}

func arrange(frags [][]byte, order int) [][]byte {
	var out [][]byte
	switch order {
	case 0:
		return frags
	case 1:
		for i := len(frags) - 1; i >= 0; i-- {
			out = append(out, frags[i])
		}
	case 2, 3:
		for i := order - 2; i < len(frags); i += 2 {
			out = append(out, frags[i])
		}
		for i := 3 - order; i < len(frags); i += 2 {
			out = append(out, frags[i])
		}
	}
	return out
}
