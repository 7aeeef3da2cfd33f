package defrag_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// R12: what tells datagrams apart, and what does not.
func TestCollectKey(t *testing.T) {
	address := netip.MustParseAddr
	to := func(destination string) wire.Header {
		return wire.Header{Source: peers.Source, Destination: address(destination)}
	}
	from := wire.Header{Source: address("2001:db8::9"), Destination: peers.Destination}
	routed := peers
	routed.Extensions = chainOf(extension{wire.Routing, wire.Options(1)})
	routed.HopLimit, routed.FlowLabel, routed.TrafficClass = 3, 4, 0x40
	for _, c := range []struct {
		name   string
		a, b   wire.Header
		second wire.Fragment
		meta   defrag.Metadata
		meet   bool
	}{
		{"same", peers, peers, wire.Fragment{ID: 1}, defrag.Metadata{}, true},
		{"source", peers, from, wire.Fragment{ID: 1}, defrag.Metadata{}, false},
		{"destination", peers, to("2001:db8::3"), wire.Fragment{ID: 1}, defrag.Metadata{}, false},
		{"identification, low", peers, peers, wire.Fragment{ID: 2}, defrag.Metadata{}, false},
		{"identification, high", peers, peers, wire.Fragment{ID: 1 | 1<<31}, defrag.Metadata{}, false},
		{"zone", peers, peers, wire.Fragment{ID: 1}, defrag.Metadata{Zone: 1}, false},
		{"next header is not compared", peers, peers, wire.Fragment{ID: 1, Next: wire.TCP}, defrag.Metadata{}, true},
		{"other headers are not compared", peers, routed, wire.Fragment{ID: 1}, defrag.Metadata{}, true},
		{"link, global", peers, peers, wire.Fragment{ID: 1}, defrag.Metadata{Link: 1}, true},
		{"link, unique local", to("fd00::1"), to("fd00::1"), wire.Fragment{ID: 1}, defrag.Metadata{Link: 1}, true},
		{"link, just below link-local", to("fe7f::1"), to("fe7f::1"), wire.Fragment{ID: 1}, defrag.Metadata{Link: 1}, true},
		{"link, link-local", to("fe80::1"), to("fe80::1"), wire.Fragment{ID: 1}, defrag.Metadata{Link: 1}, false},
		{"link, the last link-local", to("febf::1"), to("febf::1"), wire.Fragment{ID: 1}, defrag.Metadata{Link: 1}, false},
		{"link, site-local", to("fec0::1"), to("fec0::1"), wire.Fragment{ID: 1}, defrag.Metadata{Link: 1}, true},
		{"link, multicast", to("ff02::1"), to("ff02::1"), wire.Fragment{ID: 1}, defrag.Metadata{Link: 1}, false},
		{"link, global multicast", to("ff0e::1"), to("ff0e::1"), wire.Fragment{ID: 1}, defrag.Metadata{Link: 1}, false},
		{"same link, link-local", to("fe80::1"), to("fe80::1"), wire.Fragment{ID: 1}, defrag.Metadata{}, true},
	} {
		t.Run("R12 "+c.name, func(t *testing.T) {
			r := newRig(t, defrag.ZoneConfig{})
			r.hold(c.a.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, content[:16]))
			c.second.Offset = 16
			f := r.gatherWith(c.b.Fragment(c.second, content[16:20]), c.meta)
			if !c.meet && f.verdict == defrag.Held {
				r.wantHeld(2, 2)
				return
			}
			if want := c.a.Packet(wire.UDPProtocol, content[:20]); !c.meet || !bytes.Equal(f.packet, want) {
				t.Errorf("%v %x", f.verdict, f.packet)
			}
		})
	}
}
