package defrag_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// verdicts are one a policy: rfc8200, rfc5722, linux.
type verdicts [len(policies)]defrag.Verdict

// alike are the verdicts where both RFC policies agree.
func alike(rfc, linux defrag.Verdict) verdicts { return verdicts{rfc, rfc, linux} }

// A recognition is a packet that is judged by its own headers alone.
type recognition struct {
	name   string
	packet []byte
	want   verdicts
	// owed by the RFC policies; policy linux owes nothing.
	owed defrag.ICMPError
}

// check feeds the packet in, beside a queue of the same key and without.
func (c recognition) check(t *testing.T) {
	t.Run(c.name, func(t *testing.T) {
		forPolicies(t, func(t *testing.T, policy defrag.Policy) {
			owed := c.owed
			if policy == defrag.Linux {
				owed = defrag.ICMPError{}
			}
			for _, queues := range []uint64{0, 1} {
				r := newRig(t, defrag.ZoneConfig{Policy: policy})
				if queues == 1 {
					r.hold(middle)
				}
				f := r.gather(c.packet)
				if f.verdict != c.want[policy] {
					t.Fatalf("%v, want %v", f.verdict, c.want[policy])
				}
				if f.verdict.IsDrop() {
					r.wantDrops(f.verdict, 1, owed)
				}
				if f.verdict == defrag.Held {
					r.wantHeld(1, queues+1)
				} else {
					r.wantHeld(queues, queues)
				}
			}
		})
	})
}

// recognitionID is the identification of the packets of recognitions.
const recognitionID = 77

// middle is a fragment in the middle of the datagram that recognitions are of.
var middle = peers.Fragment(wire.Fragment{ID: recognitionID, Next: wire.UDPProtocol, Offset: 32000, More: true}, wire.Payload(64))

// first returns the first fragment that carries payload of type next; more
// fragments follow.
func first(next uint8, payload []byte) []byte {
	return peers.Fragment(wire.Fragment{ID: recognitionID, Next: next, More: true}, payload)
}

// whole returns the fragment that is all of payload.
func whole(next uint8, payload []byte) []byte {
	return peers.Fragment(wire.Fragment{ID: recognitionID, Next: next}, payload)
}

// later returns the fragment of payload at an offset.
func later(offset int, more bool, payload []byte) []byte {
	return peers.Fragment(wire.Fragment{ID: recognitionID, Next: wire.UDPProtocol, Offset: offset, More: more}, payload)
}

// problem is a Parameter Problem (RFC 4443 section 3.4).
func problem(code uint8, pointer uint32) defrag.ICMPError {
	return defrag.ICMPError{Type: 4, Code: code, Pointer: pointer}
}

// announce returns packet with another Payload Length.
func announce(packet []byte, length int) []byte {
	packet = bytes.Clone(packet)
	packet[4], packet[5] = byte(length>>8), byte(length)
	return packet
}

// extended are the peers with two headers of 24 octets before the Fragment
// header.
func extended() wire.Header {
	h := peers
	h.Extensions = chainOf(extension{wire.HopByHop, wire.Options(1)}, extension{wire.DestinationOptions, wire.Options(2)})
	return h
}

func TestRecogniseJumbogram(t *testing.T) {
	udp := peers.UDP(1, 2, wire.Payload(24))
	plain := first(wire.UDPProtocol, udp)
	behind := extended().Fragment(wire.Fragment{ID: recognitionID, Next: wire.UDPProtocol, More: true}, udp)
	for _, c := range []recognition{
		{"R3 without Fragment header", announce(peers.Packet(wire.UDPProtocol, udp), 0), alike(defrag.Passed, defrag.Passed), defrag.ICMPError{}},
		{"R3 with Fragment header", announce(plain, 0), alike(defrag.Jumbogram, defrag.Passed), problem(0, 40)},
		{"R3 behind headers", announce(behind, 0), alike(defrag.Jumbogram, defrag.Passed), problem(0, 64)},
		{"R3 before R4", announce(plain[:47], 0), alike(defrag.Jumbogram, defrag.Passed), problem(0, 40)},
		{"R3 before R4, nothing there", announce(plain[:40], 0), alike(defrag.Jumbogram, defrag.Passed), problem(0, 40)},
		{"R3 before R8", announce(first(wire.FragmentHeader, udp), 0), alike(defrag.Jumbogram, defrag.Passed), problem(0, 40)},
	} {
		c.check(t)
	}
}

func TestRecogniseCutFragmentHeader(t *testing.T) {
	udp := peers.UDP(1, 2, wire.Payload(24))
	inMiddle := later(64, true, udp)
	atFront := first(wire.UDPProtocol, udp)
	for n := range 8 {
		// The kernel calls a first fragment with four to seven octets of its
		// header a stub, and passes it.
		stub := defrag.TruncatedHeader
		if n >= 4 {
			stub = defrag.Passed
		}
		for _, c := range []recognition{
			{fmt.Sprintf("R4 %d octets by Payload Length", n), announce(inMiddle, n), alike(defrag.TruncatedHeader, defrag.TruncatedHeader), defrag.ICMPError{}},
			{fmt.Sprintf("R4 %d octets", n), announce(inMiddle[:40+n], n), alike(defrag.TruncatedHeader, defrag.TruncatedHeader), defrag.ICMPError{}},
			{fmt.Sprintf("R4 before R5, %d octets", n), inMiddle[:40+n], alike(defrag.TruncatedHeader, defrag.TruncatedPacket), defrag.ICMPError{}},
			{fmt.Sprintf("R4 %d octets, offset 0", n), announce(atFront[:40+n], n), alike(defrag.TruncatedHeader, stub), defrag.ICMPError{}},
		} {
			if n == 0 && len(c.packet) == 40 || n == 0 && c.packet[5] == 0 {
				// Payload Length 0 with a Fragment header is R3.
				continue
			}
			c.check(t)
		}
	}
	h := extended()
	for n := range 8 {
		packet := h.Fragment(wire.Fragment{ID: recognitionID, Offset: 64}, udp)[:64+n]
		recognition{
			fmt.Sprintf("R4 %d octets behind headers", n), announce(packet, 24+n),
			alike(defrag.TruncatedHeader, defrag.TruncatedHeader), defrag.ICMPError{},
		}.check(t)
	}
}

func TestRecogniseLength(t *testing.T) {
	udp := peers.UDP(1, 2, wire.Payload(24))
	for _, missing := range []int{1, 8, 31, 32} {
		for name, packet := range map[string][]byte{
			"first": first(wire.UDPProtocol, udp), "atomic": whole(wire.UDPProtocol, udp), "later": later(64, true, udp),
		} {
			recognition{
				fmt.Sprintf("R5 %s, %d octets missing", name, missing), packet[:len(packet)-missing],
				alike(defrag.TruncatedPacket, defrag.TruncatedPacket), defrag.ICMPError{},
			}.check(t)
		}
	}
	recognition{
		"R5 before R7", first(wire.HopByHop, wire.Options(2))[:60],
		alike(defrag.TruncatedPacket, defrag.TruncatedPacket), defrag.ICMPError{},
	}.check(t)
	recognition{
		"R5 before R14", later(64, true, wire.Payload(15))[:60],
		alike(defrag.TruncatedPacket, defrag.TruncatedPacket), defrag.ICMPError{},
	}.check(t)
}

// R5: padding is trimmed before use, wherever it is: it neither counts as
// data, nor reaches the datagram, nor what is told of a drop.
func TestRecognisePadding(t *testing.T) {
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		for _, padding := range []int{1, 6, 8, 46, 1000} {
			t.Run(fmt.Sprintf("R5 %d octets", padding), func(t *testing.T) {
				r := newRig(t, defrag.ZoneConfig{Policy: policy})
				pad := bytes.Repeat([]byte{0xee}, padding)
				udp := peers.UDP(1, 2, wire.Payload(100))
				var packets [][]byte
				for _, p := range peers.Split(1, wire.UDPProtocol, udp, 40) {
					packets = append(packets, append(p, pad...))
				}
				f := r.deliver(peers.Packet(wire.UDPProtocol, udp), packets...)
				if f.datagram.LargestPacket != 40+8+40 {
					t.Errorf("largest packet %d", f.datagram.LargestPacket)
				}

				whole := r.gather(append(whole(wire.UDPProtocol, udp), pad...))
				if !bytes.Equal(whole.packet, peers.Packet(wire.UDPProtocol, udp)) {
					t.Errorf("atomic: %x", whole.packet)
				}

				// A drop of the packet alone; gatherBuffer looks at the buffer.
				empty := append(later(64, true, nil), pad...)
				if f := r.gather(empty); f.verdict != defrag.EmptyFragment {
					t.Errorf("padding taken for data: %v", f.verdict)
				}
				if d := r.take(); len(d) != 1 || !bytes.Equal(d[0].packet, empty[:48]) {
					t.Errorf("told %v", d)
				}
			})
		}
	})
}

// R6: reserved bits decide nothing; they come out as received in the
// description of the datagram.
func TestRecogniseReservedBits(t *testing.T) {
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		r := newRig(t, defrag.ZoneConfig{Policy: policy})
		udp := peers.UDP(1, 2, wire.Payload(100))
		for bits := range 256 {
			packets := peers.Split(1, wire.UDPProtocol, udp, 40)
			for _, p := range packets {
				p[41] = byte(bits)
				p[43] |= byte(bits) & 6
			}
			f := r.deliver(peers.Packet(wire.UDPProtocol, udp), packets...)
			if got := f.datagram.FragmentHeader; !bytes.Equal(got[:], packets[0][40:48]) {
				t.Fatalf("R6 %#x: Fragment header %x, want %x", bits, got, packets[0][40:48])
			}
		}
	})
}

func TestRecogniseFirst(t *testing.T) {
	udp := peers.UDP(1, 2, wire.Payload(24))
	fragmentHeader := []byte{wire.UDPProtocol, 0, 0, 0, 0, 0, 0, 9}
	hopByHop := append(wire.Options(1), udp...)
	hopByHop[0] = wire.UDPProtocol
	nested := append(bytes.Clone(fragmentHeader), udp...)
	behindOptions := chainOf(extension{wire.DestinationOptions, wire.Options(1)})
	h := extended()
	for _, c := range []recognition{
		{"R7", first(wire.HopByHop, hopByHop), alike(defrag.HopByHopFragmented, defrag.Held), problem(1, 40)},
		{"R7 behind headers", h.Fragment(wire.Fragment{ID: recognitionID, More: true}, hopByHop), alike(defrag.HopByHopFragmented, defrag.Held), problem(1, 64)},
		{"R7 atomic", whole(wire.HopByHop, hopByHop), alike(defrag.HopByHopFragmented, defrag.Reassembled), problem(1, 40)},
		{"R7 before R11", first(wire.HopByHop, nil), alike(defrag.HopByHopFragmented, defrag.EmptyFragment), problem(1, 40)},
		{"R7 before R14", first(wire.HopByHop, hopByHop[:39]), alike(defrag.HopByHopFragmented, defrag.Passed), problem(1, 40)},
		{"R7 not in a later fragment", peers.Fragment(wire.Fragment{ID: recognitionID, Offset: 64, More: true}, hopByHop), alike(defrag.Held, defrag.Held), defrag.ICMPError{}},

		{"R8", first(wire.FragmentHeader, nested), alike(defrag.NestedFragment, defrag.Held), defrag.ICMPError{}},
		{"R8 atomic", whole(wire.FragmentHeader, nested), alike(defrag.NestedFragment, defrag.Reassembled), defrag.ICMPError{}},
		{"R8 behind options", first(wire.DestinationOptions, behindOptions.Before(wire.FragmentHeader, nested)), alike(defrag.NestedFragment, defrag.Held), defrag.ICMPError{}},
		{"R8 announced at the end", first(wire.DestinationOptions, behindOptions.Before(wire.FragmentHeader, nil)), alike(defrag.NestedFragment, defrag.Held), defrag.ICMPError{}},
		{"R8 before R14", first(wire.FragmentHeader, nested[:39]), alike(defrag.NestedFragment, defrag.Passed), defrag.ICMPError{}},
		{"R8 not in a later fragment", peers.Fragment(wire.Fragment{ID: recognitionID, Next: wire.FragmentHeader, Offset: 64, More: true}, nested), alike(defrag.Held, defrag.Held), defrag.ICMPError{}},

		{"R11 before R14", first(wire.UDPProtocol, udp[:7]), alike(defrag.IncompleteChain, defrag.Passed), problem(3, 0)},
		{"R11 before R17", first(wire.UDPProtocol, nil), alike(defrag.IncompleteChain, defrag.Passed), problem(3, 0)},
		{"R11 not in a later fragment", peers.Fragment(wire.Fragment{ID: recognitionID, Next: wire.TCP, Offset: 64, More: true}, udp[:8]), alike(defrag.Held, defrag.Held), defrag.ICMPError{}},
		{"R17 No Next Header, more", first(wire.NoNextHeader, nil), alike(defrag.EmptyFragment, defrag.EmptyFragment), defrag.ICMPError{}},
		{"R10 No Next Header", whole(wire.NoNextHeader, nil), alike(defrag.Atomic, defrag.EmptyFragment), defrag.ICMPError{}},
		{"R17", later(64, true, nil), alike(defrag.EmptyFragment, defrag.EmptyFragment), defrag.ICMPError{}},

		{"R14", later(64, true, wire.Payload(9)), alike(defrag.Unaligned, defrag.Passed), problem(0, 4)},
		{"R14 first", first(wire.UDPProtocol, udp[:31]), alike(defrag.Unaligned, defrag.Passed), problem(0, 4)},
		{"R14 before R15", later(65528, true, wire.Payload(9)), alike(defrag.Unaligned, defrag.PastMaximum), problem(0, 4)},
	} {
		switch c.want[defrag.Linux] {
		case defrag.Reassembled, defrag.Passed, defrag.EmptyFragment:
			c.checkVerdict(t)
		default:
			c.check(t)
		}
	}
}

// R11: the upper-layer header must be there to the octet.
func TestRecogniseUpperLayer(t *testing.T) {
	for _, upper := range []struct {
		name   string
		next   uint8
		length int
	}{
		{"TCP", wire.TCP, 20}, {"UDP", wire.UDPProtocol, 8}, {"ICMPv6", wire.ICMPv6, 8},
		{"No Next Header", wire.NoNextHeader, 0}, {"ESP", wire.ESP, 1}, {"SCTP", 132, 1}, {"unknown", 253, 1},
	} {
		behind := chainOf(extension{wire.DestinationOptions, wire.Options(1)})
		for n := range 24 {
			payload := make([]byte, n)
			if upper.next == wire.ICMPv6 && n > 0 {
				payload[0] = 128
			}
			want, linux := defrag.Atomic, defrag.Reassembled
			owed := defrag.ICMPError{}
			if n < upper.length {
				want, linux, owed = defrag.IncompleteChain, defrag.Passed, problem(3, 0)
			}
			c := recognition{fmt.Sprintf("R11 %s of %d octets", upper.name, n), whole(upper.next, payload), alike(want, linux), owed}
			if n == 0 && linux == defrag.Reassembled {
				c.want[defrag.Linux] = defrag.EmptyFragment
			}
			c.checkVerdict(t)
			c.name += " behind options"
			c.packet = whole(behind.Type(upper.next), behind.Before(upper.next, payload))
			c.want = alike(want, linux)
			c.checkVerdict(t)
		}
	}
}

// checkVerdict is check for a packet that may be delivered or, by policy
// linux, may join or discard the queue beside it.
func (c recognition) checkVerdict(t *testing.T) {
	t.Helper()
	for _, policy := range policies {
		r := newRig(t, defrag.ZoneConfig{Policy: policy})
		if f := r.gather(c.packet); f.verdict != c.want[policy] {
			t.Errorf("%s, policy %v: %v, want %v", c.name, policy, f.verdict, c.want[policy])
		}
		for _, d := range r.take() {
			if policy != defrag.Linux && d.owed != c.owed {
				t.Errorf("%s, policy %v: error %v, want %v", c.name, policy, d.owed, c.owed)
			}
		}
		r.wantHeld(0, 0)
	}
}

// R9: every ICMPv6 type, atomic and not; the check comes after R11 and before
// R10 and R14.
func TestRecogniseNeighborDiscovery(t *testing.T) {
	forbidden := map[int]bool{133: true, 134: true, 135: true, 136: true, 137: true, 148: true}
	behind := chainOf(extension{wire.DestinationOptions, wire.Options(1)})
	for kind := range 256 {
		message := peers.ICMP(uint8(kind), 0, make([]byte, 28))
		cases := map[string][]byte{
			"atomic":         whole(wire.ICMPv6, message),
			"behind options": whole(behind.Type(wire.ICMPv6), behind.Before(wire.ICMPv6, message)),
		}
		if forbidden[kind] {
			cases["first"] = first(wire.ICMPv6, message)
			cases["before R14"] = first(wire.ICMPv6, message[:31])
		}
		for name, packet := range cases {
			c := recognition{fmt.Sprintf("R9 type %d %s", kind, name), packet, alike(defrag.Atomic, defrag.Reassembled), defrag.ICMPError{}}
			if forbidden[kind] {
				c.want = alike(defrag.NeighborDiscovery, defrag.Reassembled)
			}
			switch name {
			case "first":
				c.want[defrag.Linux] = defrag.Held
				c.check(t)
				continue
			case "before R14":
				c.want[defrag.Linux] = defrag.Passed
			}
			c.checkVerdict(t)
		}
	}
	recognition{"R11 before R9", whole(wire.ICMPv6, []byte{135, 0, 0, 0, 0, 0, 0}), alike(defrag.IncompleteChain, defrag.Passed), problem(3, 0)}.checkVerdict(t)
	recognition{"R9 not ICMPv6", whole(132, []byte{135, 0, 0, 0, 0, 0, 0, 0}), alike(defrag.Atomic, defrag.Reassembled), defrag.ICMPError{}}.checkVerdict(t)
}
