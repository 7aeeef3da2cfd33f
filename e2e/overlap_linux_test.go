package e2e

import (
	"maps"
	"testing"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// A piece is a range of octets of a datagram; the zero end stands for the
// datagram's own.
type piece struct {
	from, to int
	last     bool // M = 0, wherever it ends
	garbled  bool // not the datagram's own octets
}

// unit is the length in octets of one regular piece, of which the datagrams
// here have five.
const unit = 64

// regular returns the regular pieces of those numbers.
func regular(numbers ...int) []piece {
	var pieces []piece
	for _, i := range numbers {
		pieces = append(pieces, piece{from: i * unit, to: (i + 1) * unit, last: i == 4})
	}
	return pieces
}

func join(parts ...[]piece) []piece {
	var all []piece
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

// An outcome says whether a datagram was echoed, and which packets dropped.
type outcome struct {
	echo  bool
	drops map[defrag.Verdict]int
}

var overlaps = []struct {
	name                    string
	pieces                  []piece
	rfc8200, rfc5722, linux outcome
}{{
	name:    "no overlap",
	pieces:  regular(0, 1, 2, 3, 4),
	rfc8200: outcome{echo: true},
	rfc5722: outcome{echo: true},
	linux:   outcome{echo: true},
}, {
	name:    "duplicate",
	pieces:  regular(0, 2, 2, 1, 3, 4),
	rfc8200: outcome{true, map[defrag.Verdict]int{defrag.Duplicate: 1}},
	rfc5722: outcome{false, map[defrag.Verdict]int{defrag.DuplicateDiscard: 3, defrag.AfterDiscard: 3}},
	linux:   outcome{true, map[defrag.Verdict]int{defrag.Duplicate: 1}},
}, {
	name:    "duplicates of the first and last",
	pieces:  regular(4, 4, 0, 0, 1, 2, 3),
	rfc8200: outcome{true, map[defrag.Verdict]int{defrag.Duplicate: 2}},
	rfc5722: outcome{false, map[defrag.Verdict]int{defrag.DuplicateDiscard: 2, defrag.AfterDiscard: 5}},
	linux:   outcome{true, map[defrag.Verdict]int{defrag.Duplicate: 2}},
}, {
	name:    "duplicate of other octets",
	pieces:  join(regular(0, 1), []piece{{from: unit, to: 2 * unit, garbled: true}}, regular(2, 3, 4)),
	rfc8200: outcome{true, map[defrag.Verdict]int{defrag.Duplicate: 1}},
	rfc5722: outcome{false, map[defrag.Verdict]int{defrag.DuplicateDiscard: 3, defrag.AfterDiscard: 3}},
	linux:   outcome{true, map[defrag.Verdict]int{defrag.Duplicate: 1}},
}, {
	name:    "partial overlap, then all again",
	pieces:  join(regular(0), []piece{{from: unit / 2, to: 3 * unit / 2}}, regular(0, 1, 2, 3, 4)),
	rfc8200: outcome{true, map[defrag.Verdict]int{defrag.Overlap: 2}},
	rfc5722: outcome{false, map[defrag.Verdict]int{defrag.Overlap: 2, defrag.AfterDiscard: 5}},
	linux:   outcome{true, map[defrag.Verdict]int{defrag.Overlap: 2}},
}, {
	name:    "overlap from below",
	pieces:  join(regular(2), []piece{{from: unit, to: 5 * unit / 2}}, regular(0, 1, 2, 3, 4)),
	rfc8200: outcome{true, map[defrag.Verdict]int{defrag.Overlap: 2}},
	rfc5722: outcome{false, map[defrag.Verdict]int{defrag.Overlap: 2, defrag.AfterDiscard: 5}},
	linux:   outcome{true, map[defrag.Verdict]int{defrag.Overlap: 2}},
}, {
	name:    "overlap around",
	pieces:  join(regular(2), []piece{{from: unit, to: 4 * unit}}, regular(0, 1, 2, 3, 4)),
	rfc8200: outcome{true, map[defrag.Verdict]int{defrag.Overlap: 2}},
	rfc5722: outcome{false, map[defrag.Verdict]int{defrag.Overlap: 2, defrag.AfterDiscard: 5}},
	linux:   outcome{true, map[defrag.Verdict]int{defrag.Overlap: 2}},
}, {
	name:    "held already in two pieces",
	pieces:  join(regular(0, 1), []piece{{from: 0, to: 2 * unit}}, regular(2, 3, 4)),
	rfc8200: outcome{false, map[defrag.Verdict]int{defrag.Overlap: 3}},
	rfc5722: outcome{false, map[defrag.Verdict]int{defrag.Overlap: 3, defrag.AfterDiscard: 3}},
	linux:   outcome{true, map[defrag.Verdict]int{defrag.Duplicate: 1}},
}, {
	name:    "held already within one piece",
	pieces:  join(regular(0, 1), []piece{{from: unit + 8, to: 2*unit - 8}}, regular(2, 3, 4)),
	rfc8200: outcome{false, map[defrag.Verdict]int{defrag.Overlap: 3}},
	rfc5722: outcome{false, map[defrag.Verdict]int{defrag.Overlap: 3, defrag.AfterDiscard: 3}},
	linux:   outcome{true, map[defrag.Verdict]int{defrag.Duplicate: 1}},
}, {
	name:    "second end",
	pieces:  join(regular(0, 4), []piece{{from: 3 * unit, to: 4 * unit, last: true}}, regular(1, 2, 3)),
	rfc8200: outcome{false, map[defrag.Verdict]int{defrag.EndMismatch: 3}},
	rfc5722: outcome{false, map[defrag.Verdict]int{defrag.EndMismatch: 3, defrag.AfterDiscard: 3}},
	linux:   outcome{true, map[defrag.Verdict]int{defrag.ConflictingEnd: 1}},
}, {
	name:    "past the end",
	pieces:  join(regular(0, 4), []piece{{from: 5 * unit, to: 6 * unit}}, regular(1, 2, 3)),
	rfc8200: outcome{false, map[defrag.Verdict]int{defrag.EndMismatch: 3}},
	rfc5722: outcome{false, map[defrag.Verdict]int{defrag.EndMismatch: 3, defrag.AfterDiscard: 3}},
	linux:   outcome{true, map[defrag.Verdict]int{defrag.ConflictingEnd: 1}},
}}

// TestOverlap sends fragments that disagree to a node of each policy.
func TestOverlap(t *testing.T) {
	for _, policy := range []defrag.Policy{defrag.RFC8200, defrag.RFC5722, defrag.Linux} {
		t.Run(policy.String(), func(t *testing.T) {
			eachKind(t, func(t *testing.T, k kind) {
				n := startNode(t, nodeConfig{kind: k, zone: defrag.ZoneConfig{Policy: policy}})
				w, host := openTap(t, n.device), openHost(t)
				for i, test := range overlaps {
					want := [...]outcome{test.rfc8200, test.rfc5722, test.linux}[policy]
					t.Run(test.name, func(t *testing.T) {
						checkOutcome(t, n, w, host, uint32(i+1), test.pieces, want)
					})
				}
			})
		})
	}
}

// checkOutcome sends pieces of one datagram and checks what becomes of them.
func checkOutcome(t *testing.T, n *node, w *tap, host host, id uint32, pieces []piece, want outcome) {
	t.Helper()
	before := n.drops.all()
	checkEcho(t, w, host, id, pieces, want.echo)
	dropped := n.drops.all()
	for verdict, count := range before {
		if dropped[verdict] -= count; dropped[verdict] == 0 {
			delete(dropped, verdict)
		}
	}
	if !maps.Equal(dropped, want.drops) {
		t.Errorf("packets dropped: %v, want %v", dropped, want.drops)
	}
}

// checkEcho sends pieces of one datagram and, after them, another datagram:
// once that has been echoed, nothing of the first is still on its way.
func checkEcho(t *testing.T, w *tap, host host, id uint32, pieces []piece, want bool) {
	t.Helper()
	payload, marker := numbered(id, 5*unit-8), []byte("marker")
	sendPieces(t, w, id, toStack.UDP(host.port(), echoPort, payload), pieces)
	w.send(t, host.behind(id, marker)...)
	if want {
		host.expect(t, payload)
	}
	host.expect(t, marker)
}

func sendPieces(t *testing.T, w *tap, id uint32, datagram []byte, pieces []piece) {
	t.Helper()
	datagram = append(datagram, wire.Payload(unit)...) // for those past its end
	for _, p := range pieces {
		octets := append([]byte(nil), datagram[p.from:p.to]...)
		if p.garbled {
			octets[0]++
		}
		f := wire.Fragment{ID: id, Next: wire.UDPProtocol, Offset: p.from, More: !p.last}
		w.send(t, toStack.Fragment(f, octets))
	}
}
