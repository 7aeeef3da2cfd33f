package stack_test

import (
	"bytes"
	"testing"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// FuzzSegments has packets of any octets come as what a link left to be cut, and
// TCP of any size and MSS through links of any MTU: TCP leaves as it was on the
// wire, or is too big, and the rest breaks nothing.
func FuzzSegments(f *testing.F) {
	f.Add([]byte("octets"), uint16(9000), uint16(1000), uint16(0), uint8(3), false)
	f.Add(newStream(100, 10).large(), uint16(100), uint16(1228), uint16(20), uint8(0), true)
	f.Fuzz(func(t *testing.T, octets []byte, size, mss, mtu uint16, options uint8, offloads bool) {
		names := "a"
		if offloads {
			names = "ab"
		}
		r := newRouter(t, 1500, 1280+uint32(mtu%300), withOffloads(names))
		injectLarge(r.a, octets, largeGSO(int(mss)))
		r.a.Drain()
		r.b.Drain()
		before := r.link("a").ForwardedFrom
		s := newStream(int(min(size, 64_000)), int(mss%2000)+1)
		s.payload = s.payload[:min(len(s.payload), 1000*s.mss)]
		s.segment.Options = wire.Payload(4 * int(options%11))
		packets := s.packets()
		injectLarge(r.a, s.large(), largeGSO(s.mss))
		if len(packets[0]) > 1280+int(mtu%300) {
			wantError(t, r.a, routerA.Addr(), 2, 0, 1280+uint32(mtu%300), packets[0])
			r.wantSilence("too big")
			return
		}
		if !offloads {
			wantPlain(t, "cut", r.b, packets)
		} else if got := departures(r.b); len(got) != 1 || !bytes.Equal(got[0].octets, next(s.large())) || int(got[0].gso.MSS) != s.mss {
			t.Errorf("whole: %d packets", len(got))
		}
		after := r.link("a").ForwardedFrom
		if got := (stack.Traffic{Packets: after.Packets - before.Packets, Octets: after.Octets - before.Octets}); got != s.traffic() {
			t.Errorf("forwarded %+v, want %+v", got, s.traffic())
		}
	})
}
