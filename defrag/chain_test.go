package defrag_test

import (
	"bytes"
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// An extension is an extension header that the walk meets.
type extension struct {
	kind uint8
	body []byte
}

// extensions are all headers that the walk steps over, in several lengths.
// Their first octet is filled in by the chain, and their bodies hold 44s,
// which a walk with a wrong step would take for an announcement.
func extensions() []extension {
	var all []extension
	for _, kind := range []uint8{wire.HopByHop, wire.Routing, wire.DestinationOptions, wire.Mobility, wire.HIP, wire.Shim6} {
		for _, units := range []int{1, 2, 5} {
			all = append(all, extension{kind, lure(wire.Options(units))})
		}
	}
	for _, words := range []int{3, 4, 6, 7} {
		all = append(all, extension{wire.AH, lure(wire.Authentication(words))})
	}
	return append(all, extension{wire.Routing, lure(wire.Options(256))}, extension{wire.AH, lure(wire.Authentication(257))})
}

// lure fills a header behind its length field with the value that announces a
// Fragment header.
func lure(body []byte) []byte {
	for i := 2; i < len(body); i++ {
		body[i] = wire.FragmentHeader
	}
	return body
}

// chainOf returns the chain of those headers.
func chainOf(list ...extension) (c wire.Extensions) {
	for _, e := range list {
		c = c.With(e.kind, e.body)
	}
	return c
}

// linuxSteps reports whether Linux's walk steps over all the headers.
func linuxSteps(list ...extension) bool {
	for _, e := range list {
		switch e.kind {
		case wire.Mobility, wire.HIP, wire.Shim6:
			return false
		}
	}
	return true
}

// Chains of one and two headers, all there are, stand before the Fragment
// header; the datagram has them with the right announcement at their end.
func TestWalkBeforeFragmentHeader(t *testing.T) {
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		r := newRig(t, defrag.ZoneConfig{Policy: policy})
		try := func(list ...extension) {
			h := peers
			h.Extensions = chainOf(list...)
			udp := h.UDP(1, 2, wire.Payload(100))
			packets := h.Split(3, wire.UDPProtocol, udp, 64)
			if policy == defrag.Linux && !linuxSteps(list...) {
				if f := r.gather(packets[0]); f.verdict != defrag.Passed {
					t.Errorf("R2 %v: %v, want passed", kinds(list), f.verdict)
				}
				return
			}
			f := r.deliver(h.Packet(wire.UDPProtocol, udp), packets...)
			if want := 40 + h.Extensions.Len(); f.datagram.UnfragmentableLength != want {
				t.Errorf("R2 %v: unfragmentable part of %d octets, want %d", kinds(list), f.datagram.UnfragmentableLength, want)
			}
		}
		try()
		for _, first := range extensions() {
			try(first)
			for _, second := range extensions() {
				try(first, second)
			}
		}
	})
}

// kinds names a chain in messages.
func kinds(list []extension) (s []string) {
	for _, e := range list {
		s = append(s, fmt.Sprintf("%d of %d octets", e.kind, len(e.body)))
	}
	return s
}

// The same chains stand behind the Fragment header. The first fragment must
// hold them through the upper-layer header, to the octet (R11).
func TestWalkBehindFragmentHeader(t *testing.T) {
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		// The kernel passes both on; what it walks is in TestLinuxStub.
		atomic, incomplete := defrag.Atomic, defrag.IncompleteChain
		if policy == defrag.Linux {
			atomic, incomplete = defrag.Reassembled, defrag.Passed
		}
		r := newRig(t, defrag.ZoneConfig{Policy: policy})
		try := func(list ...extension) {
			if policy == defrag.Linux && !linuxSteps(list...) {
				return // Upper layers to it.
			}
			c := chainOf(list...)
			whole := c.Before(wire.UDPProtocol, peers.UDP(1, 2, nil))
			first := wire.Fragment{ID: 3, Next: c.Type(wire.UDPProtocol)}
			if f := r.gather(peers.Fragment(first, whole)); f.verdict != atomic {
				t.Errorf("R11 %v: %v, want %v", kinds(list), f.verdict, atomic)
			}
			for _, short := range []int{1, 8, 9} {
				cut := peers.Fragment(first, whole[:len(whole)-short])
				if f := r.gather(cut); f.verdict != incomplete {
					t.Errorf("R11 %v less %d octets: %v", kinds(list), short, f.verdict)
				}
			}
		}
		for _, first := range extensions() {
			if first.kind == wire.HopByHop {
				continue // R7
			}
			try(first)
			for _, second := range extensions() {
				try(first, second)
			}
		}
		r.take()
	})
}

// Wherever the views of a packet begin and end, its headers read the same.
func TestWalkAcrossViews(t *testing.T) {
	h := peers
	h.Extensions = chainOf(extension{wire.HopByHop, wire.Options(1)}, extension{wire.AH, wire.Authentication(3)})
	inner := chainOf(extension{wire.DestinationOptions, wire.Options(1)})
	upper := inner.Before(wire.TCP, h.TCPSegment(1, wire.Payload(20)))
	packets := h.Split(9, inner.Type(wire.TCP), upper, 40)
	want := h.Packet(inner.Type(wire.TCP), upper)
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		r := newRig(t, defrag.ZoneConfig{Policy: policy})
		try := func(at ...int) {
			for i, packet := range packets {
				b := viewsOf(packet, at...)
				f := r.gatherBuffer(&b, packet, defrag.Metadata{})
				b.Release()
				if i < len(packets)-1 && f.verdict != defrag.Held || i == len(packets)-1 && !bytes.Equal(f.packet, want) {
					t.Fatalf("split at %d, fragment %d: %v\n%x\nwant\n%x", at, i, f.verdict, f.packet, want)
				}
			}
		}
		size := len(packets[0])
		for first := range size {
			try(first)
			for second := first; second < size; second += 3 {
				try(first, second)
			}
		}
		var octets []int
		for i := range size {
			octets = append(octets, i)
		}
		try(octets...)
	})
}

// viewsOf returns packet in views that end at the given positions, ascending;
// the same position twice makes an empty view.
func viewsOf(packet []byte, at ...int) buffer.Buffer {
	var b buffer.Buffer
	from := 0
	for _, to := range append(at, len(packet)) {
		to = min(to, len(packet))
		v := buffer.NewView(max(to-from, 1))
		v.Write(packet[from:to])
		part := buffer.MakeWithView(v)
		b.Merge(&part)
		from = to
	}
	return b
}

// R1: what ends the walk, and packets cut off anywhere before the Fragment
// header, pass untouched, in the same memory.
func TestWalkEndsBeforeFragmentHeader(t *testing.T) {
	payload := wire.Payload(64)
	payload[0] = wire.FragmentHeader // An upper layer is never walked into.
	chains := map[string]wire.Extensions{
		"no headers":  {},
		"two headers": chainOf(extension{wire.HopByHop, wire.Options(2)}, extension{wire.AH, wire.Authentication(3)}),
	}
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		r := newRig(t, defrag.ZoneConfig{Policy: policy})
		passes := func(name string, packet []byte) {
			t.Helper()
			b := buffer.MakeWithData(packet)
			defer b.Release()
			var before *byte
			if len(packet) > 0 {
				before = memory(&b)
			}
			f := r.gatherBuffer(&b, packet, defrag.Metadata{})
			if f.verdict != defrag.Passed {
				t.Errorf("R1 %s: %v, want passed", name, f.verdict)
			}
			if len(packet) > 0 && memory(&b) != before {
				t.Errorf("R1 %s: the buffer was changed", name)
			}
		}
		for name, c := range chains {
			h := peers
			h.Extensions = c
			for _, next := range []uint8{wire.TCP, wire.UDPProtocol, wire.ICMPv6, wire.NoNextHeader, wire.ESP, 4, 41, 132, 253, 255} {
				passes(fmt.Sprintf("%s, then %d", name, next), h.Packet(next, payload))
			}
			fragment := h.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, payload)
			for n := range 40 + c.Len() {
				passes(fmt.Sprintf("%s, cut off at %d", name, n), fragment[:n])
			}
			fragment[0] = 4<<4 | 5
			passes("version 4", fragment)
		}
		// Payload Length ends inside an earlier header, though octets follow.
		h := peers
		h.Extensions = chains["two headers"]
		for n := 1; n < h.Extensions.Len(); n++ {
			fragment := h.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, payload)
			fragment[4], fragment[5] = 0, byte(n)
			passes(fmt.Sprintf("Payload Length %d", n), fragment)
		}
	})
}

// memory returns the address of b's first octet.
func memory(b *buffer.Buffer) *byte {
	views := b.AsViewList()
	return &views.Front().AsSlice()[0]
}

// R2: there is no limit but the packet's length.
func TestWalkOfTheLongestChain(t *testing.T) {
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		r := newRig(t, defrag.ZoneConfig{Policy: policy})
		const headers = (65535 - 8 - 8) / 8
		chain := bytes.Repeat(append([]byte{wire.DestinationOptions}, wire.Options(1)[1:]...), headers)
		before := append([]byte(nil), chain...)
		before[len(before)-8] = wire.FragmentHeader
		atomic := append(before, peers.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol}, make([]byte, 8))[40:]...)
		f := r.gather(peers.Packet(wire.DestinationOptions, atomic))
		if v := f.verdict; v != defrag.Atomic && v != defrag.Reassembled {
			t.Errorf("%d headers before the Fragment header: %v", headers, v)
		}
		if len(f.packet) != 40+8*headers+8 {
			t.Errorf("datagram of %d octets", len(f.packet))
		}

		behind := append([]byte(nil), chain...)
		behind[len(behind)-8] = wire.UDPProtocol
		behind = append(behind, make([]byte, 8)...)
		f = r.gather(peers.Fragment(wire.Fragment{ID: 1, Next: wire.DestinationOptions}, behind))
		if v := f.verdict; v != defrag.Atomic && v != defrag.Reassembled {
			t.Errorf("%d headers behind the Fragment header: %v", headers, v)
		}
	})
}

// Policy linux passes on a first fragment that ends before its upper-layer
// header does, and walks what the kernel walks to find it.
func TestLinuxStub(t *testing.T) {
	options := chainOf(extension{wire.DestinationOptions, wire.Options(2)})
	ah := chainOf(extension{wire.AH, wire.Authentication(4)})
	hopByHop := chainOf(extension{wire.HopByHop, wire.Options(2)})
	inner := func(next, offset uint8) []byte { return []byte{next, 0, 0, offset, 0, 0, 0, 1} }
	for _, c := range []struct {
		name    string
		next    uint8
		payload []byte
		want    defrag.Verdict
	}{
		{"options cut off", wire.DestinationOptions, options.Before(wire.UDPProtocol, nil)[:8], defrag.Passed},
		{"options, upper layer absent", wire.DestinationOptions, options.Before(wire.UDPProtocol, nil), defrag.Passed},
		{"options, upper layer there", wire.DestinationOptions, options.Before(wire.UDPProtocol, make([]byte, 8)), defrag.Held},
		{"options, then No Next Header", wire.DestinationOptions, options.Before(wire.NoNextHeader, nil), defrag.Held},
		{"options absent", wire.DestinationOptions, nil, defrag.EmptyFragment},
		{"AH cut off", wire.AH, ah.Before(wire.UDPProtocol, nil)[:8], defrag.Passed},
		{"Hop-by-Hop cut off", wire.HopByHop, hopByHop.Before(wire.UDPProtocol, nil)[:8], defrag.Passed},
		{"Mobility is an upper layer", wire.Mobility, wire.Options(2)[:8], defrag.Held},
		{"nested, offset 0, UDP absent", wire.FragmentHeader, inner(wire.UDPProtocol, 1), defrag.Passed},
		{"nested, offset 0, UDP there", wire.FragmentHeader, append(inner(wire.UDPProtocol, 1), make([]byte, 8)...), defrag.Held},
		{"nested, offset 8", wire.FragmentHeader, inner(wire.UDPProtocol, 9), defrag.Held},
		{"nested, absent", wire.FragmentHeader, nil, defrag.EmptyFragment},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, defrag.ZoneConfig{Policy: defrag.Linux})
			if f := r.gather(first(c.next, c.payload)); f.verdict != c.want {
				t.Errorf("%v, want %v", f.verdict, c.want)
			}
		})
	}
}
