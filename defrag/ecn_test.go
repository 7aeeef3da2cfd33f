package defrag_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// Code points of RFC 3168 section 5.
const (
	notECT = 0
	ect1   = 1
	ect0   = 2
	ce     = 3
)

// marked returns the fragments of one datagram, a fragment a mark, and the
// datagram as it would be with that mark.
func marked(marks []uint8, result uint8) (packets [][]byte, datagram []byte) {
	const dscp = 0xb8
	udp := peers.UDP(1, 2, wire.Payload(16*len(marks)-8))
	for i, p := range peers.Split(4, wire.UDPProtocol, udp, 16) {
		h := peers
		h.TrafficClass = dscp | marks[i]
		if i > 0 {
			h.TrafficClass ^= 0x40 // DSCP is the first fragment's.
		}
		packets = append(packets, h.Packet(wire.FragmentHeader, p[40:]))
	}
	h := peers
	h.TrafficClass = dscp | result
	return packets, h.Packet(wire.UDPProtocol, udp)
}

// merged is RFC 3168 section 5.3 as Linux reads it; ok is
// false where the datagram is dropped.
func merged(marks []uint8) (result uint8, ok bool) {
	distinct := slices.Compact(slices.Sorted(slices.Values(marks)))
	switch {
	case len(distinct) == 1: // R26
		return distinct[0], true
	case slices.Contains(distinct, notECT): // R28
		return 0, false
	case slices.Contains(distinct, ce): // R27
		return ce, true
	}
	return marks[0], true // R29
}

// Every set of code points, each with every one of them on the first
// fragment, in every order of arrival.
func TestCongestion(t *testing.T) {
	sets := 0
	for set := 1; set < 16; set++ {
		var members []uint8
		for mark := uint8(notECT); mark <= ce; mark++ {
			if set>>mark&1 != 0 {
				members = append(members, mark)
			}
		}
		if sets++; len(members) == 1 {
			members = append(members, members[0])
		}
		for i := range members {
			marks := slices.Concat(members[i:], members[:i])
			t.Run(fmt.Sprintf("R26–R29 %v", marks), func(t *testing.T) {
				forPolicies(t, func(t *testing.T, policy defrag.Policy) {
					r := newRig(t, defrag.ZoneConfig{Policy: policy})
					for _, order := range permutations(len(marks)) {
						congest(r, marks, order)
					}
				})
			})
		}
	}
	if sets != 15 {
		t.Errorf("%d sets, want 15: all but the empty one", sets)
	}
}

// congest gathers a datagram with those marks.
func congest(r *rig, marks []uint8, order []int) {
	r.Helper()
	result, ok := merged(marks)
	packets, want := marked(marks, result)
	packets = arranged(packets, order)
	if ok {
		r.deliver(want, packets...)
		return
	}
	last := len(packets) - 1
	r.hold(packets[:last]...)
	if f := r.gather(packets[last]); f.verdict != defrag.ECNMismatch {
		r.Errorf("%v, want ecn-mismatch", f.verdict)
	}
	r.wantDrops(defrag.ECNMismatch, len(packets), defrag.ICMPError{})
	// R21: forgotten, whatever the policy.
	r.wantHeld(0, 0)
}

// permutations returns all of n.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, p := range permutations(n - 1) {
		for at := range n {
			all = append(all, slices.Insert(slices.Clone(p), at, n-1))
		}
	}
	return all
}

// R26: the mark of a copy that is dropped does not count; nor does that of any
// other fragment that is.
func TestCongestionOfDroppedFragments(t *testing.T) {
	packets, want := marked([]uint8{ect0, ect0, ect0}, ect0)
	mark := func(packet []byte, mark uint8) []byte {
		packet = bytes.Clone(packet)
		packet[1] = packet[1]&^0x30 | mark<<4
		return packet
	}
	empty := announce(packets[1][:48], 8)
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		for other := uint8(notECT); other <= ce; other++ {
			r := newRig(t, defrag.ZoneConfig{Policy: policy})
			r.hold(packets[0])
			if policy != defrag.RFC5722 {
				if f := r.gather(mark(packets[0], other)); f.verdict != defrag.Duplicate {
					t.Errorf("copy: %v", f.verdict)
				}
			}
			if f := r.gather(mark(empty, other)); f.verdict != defrag.EmptyFragment {
				t.Errorf("empty: %v", f.verdict)
			}
			r.deliver(want, packets[1:]...)
		}
	})
}

// R10, R26: an atomic fragment keeps its mark.
func TestCongestionOfAtomicFragment(t *testing.T) {
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		for mark := uint8(notECT); mark <= ce; mark++ {
			r := newRig(t, defrag.ZoneConfig{Policy: policy})
			packets, want := marked([]uint8{mark}, mark)
			if f := r.gather(packets[0]); !bytes.Equal(f.packet, want) {
				t.Errorf("mark %d: %v %x, want %x", mark, f.verdict, f.packet, want)
			}
		}
	})
}
