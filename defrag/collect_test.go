package defrag_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// A collection is a newcomer to a datagram of which some pieces are held.
// Pieces are written as first and last octet, the latter excluded, with a plus
// sign where more fragments follow: "0-16+ 16-21".
type collection struct {
	name     string
	held     string
	newcomer string
	want     verdicts
	// rest completes the datagram where the newcomer left its queue alone; ""
	// where nothing could.
	rest string
}

// content is what the pieces hold, at the octet they say.
var content = peers.UDP(1, 2, wire.Payload(65535))

// piece returns the packet of one piece of the datagram id.
func piece(t *testing.T, id uint32, s string) []byte {
	t.Helper()
	s, more := strings.CutSuffix(s, "+")
	var from, to int
	if _, err := fmt.Sscanf(s, "%d-%d", &from, &to); err != nil {
		t.Fatalf("piece %q: %v", s, err)
	}
	return peers.Fragment(wire.Fragment{ID: id, Next: wire.UDPProtocol, Offset: from, More: more}, content[from:to])
}

// pieces returns the packets of pieces separated by spaces.
func pieces(t *testing.T, id uint32, list string) (packets [][]byte) {
	t.Helper()
	for _, s := range strings.Fields(list) {
		packets = append(packets, piece(t, id, s))
	}
	return packets
}

// endOf returns where the last piece of a list, the one without more
// fragments behind it, ends.
func endOf(list string) (end int) {
	for _, s := range strings.Fields(list) {
		if !strings.HasSuffix(s, "+") {
			fmt.Sscanf(s[strings.Index(s, "-")+1:], "%d", &end)
		}
	}
	return end
}

var collections = []collection{
	{"R18 duplicate of the first", "0-16+", "0-16+", verdicts{defrag.Duplicate, defrag.DuplicateDiscard, defrag.Duplicate}, "16-24"},
	{"R18 duplicate in the middle", "0-16+ 24-40+", "24-40+", verdicts{defrag.Duplicate, defrag.DuplicateDiscard, defrag.Duplicate}, "16-24+ 40-48"},
	{"R18 duplicate of the last", "16-21", "16-21", verdicts{defrag.Duplicate, defrag.DuplicateDiscard, defrag.Duplicate}, "0-16+"},
	{"R18 duplicate of an aligned last", "16-24", "16-24", verdicts{defrag.Duplicate, defrag.DuplicateDiscard, defrag.Duplicate}, "0-16+"},
	{"R18 duplicate of the first, end known", "0-16+ 24-29", "0-16+", verdicts{defrag.Duplicate, defrag.DuplicateDiscard, defrag.Duplicate}, "16-24+"},
	{"R18 duplicate in the middle, end known", "0-16+ 24-32+ 40-48", "24-32+", verdicts{defrag.Duplicate, defrag.DuplicateDiscard, defrag.Duplicate}, "16-24+ 32-40+"},
	{"R18 duplicate before an aligned end", "16-24+ 24-32", "16-24+", verdicts{defrag.Duplicate, defrag.DuplicateDiscard, defrag.Duplicate}, "0-16+"},
	{"R18 duplicate before an unaligned end", "16-24+ 24-25", "16-24+", verdicts{defrag.Duplicate, defrag.DuplicateDiscard, defrag.Duplicate}, "0-16+"},
	{"R18 duplicate among many", "0-8+ 8-16+ 16-24+ 24-32+ 32-40+ 40-48+ 48-56+", "24-32+", verdicts{defrag.Duplicate, defrag.DuplicateDiscard, defrag.Duplicate}, "56-60"},
	{"R18 duplicate of the last among many", "8-16+ 16-24+ 24-32+ 32-40+ 40-48+ 48-56+ 56-63", "56-63", verdicts{defrag.Duplicate, defrag.DuplicateDiscard, defrag.Duplicate}, "0-8+"},

	{"R19 part of one, front", "0-16+ 24-48+", "24-32+", verdicts{defrag.Overlap, defrag.Overlap, defrag.Duplicate}, "16-24+ 48-52"},
	{"R19 part of one, middle", "0-16+ 24-48+", "32-40+", verdicts{defrag.Overlap, defrag.Overlap, defrag.Duplicate}, "16-24+ 48-52"},
	{"R19 part of one, back", "0-16+ 24-48+", "40-48+", verdicts{defrag.Overlap, defrag.Overlap, defrag.Duplicate}, "16-24+ 48-52"},
	{"R19 two together", "0-16+ 16-32+", "0-32+", verdicts{defrag.Overlap, defrag.Overlap, defrag.Duplicate}, "32-40"},
	{"R19 across two, in order", "0-16+ 16-32+", "8-24+", verdicts{defrag.Overlap, defrag.Overlap, defrag.Duplicate}, "32-40"},
	{"R19 across two, reversed", "16-32+ 0-16+", "8-24+", verdicts{defrag.Overlap, defrag.Overlap, defrag.Duplicate}, "32-40"},
	{"R19 part of one among many", "0-16+ 16-32+ 32-48+ 48-64+ 64-80+ 80-96+ 96-112+ 112-128+", "72-80+", verdicts{defrag.Overlap, defrag.Overlap, defrag.Duplicate}, "128-130"},
	{"R19 two of many together", "0-16+ 16-32+ 32-48+ 48-64+ 64-80+ 80-96+ 96-112+ 112-128+", "64-96+", verdicts{defrag.Overlap, defrag.Overlap, defrag.Duplicate}, "128-130"},

	{"R20 front overlaps", "16-32+", "8-24+", alike(defrag.Overlap, defrag.Overlap), ""},
	{"R20 back overlaps", "16-32+", "24-40+", alike(defrag.Overlap, defrag.Overlap), ""},
	{"R20 covers", "16-32+", "8-40+", alike(defrag.Overlap, defrag.Overlap), ""},
	{"R20 covers the first", "0-16+", "0-24+", alike(defrag.Overlap, defrag.Overlap), ""},
	{"R20 over a hole", "0-16+ 24-40+", "8-32+", alike(defrag.Overlap, defrag.Overlap), ""},
	{"R20 by one unit among many", "0-8+ 8-16+ 16-24+ 24-32+ 32-40+ 40-48+ 48-56+", "48-64+", alike(defrag.Overlap, defrag.Overlap), ""},
	{"R20 last overlaps", "0-24+", "16-30", alike(defrag.Overlap, defrag.Overlap), ""},
	{"R20 within the last unit", "0-16+ 32-37", "24-40+", verdicts{defrag.Overlap, defrag.Overlap, defrag.ConflictingEnd}, "16-32+"},

	{"R22 same range, now the last", "0-16+ 16-24+", "16-24", verdicts{defrag.EndMismatch, defrag.EndMismatch, defrag.Duplicate}, "24-30"},
	{"R22 same range, no more the last", "16-24", "16-24+", verdicts{defrag.EndMismatch, defrag.EndMismatch, defrag.Duplicate}, "0-16+"},
	{"R22 same range, now the last, end known", "0-16+ 16-24+ 32-40", "16-24", verdicts{defrag.EndMismatch, defrag.EndMismatch, defrag.ConflictingEnd}, "24-32+"},
	{"R22 second end, later", "0-16+ 24-32", "32-40", verdicts{defrag.EndMismatch, defrag.EndMismatch, defrag.ConflictingEnd}, "16-24+"},
	{"R22 second end, earlier", "0-8+ 24-32", "16-24", verdicts{defrag.EndMismatch, defrag.EndMismatch, defrag.ConflictingEnd}, "8-24+"},
	{"R19 before R22, earlier end in the same unit", "0-16+ 24-30", "24-29", verdicts{defrag.Overlap, defrag.Overlap, defrag.ConflictingEnd}, "16-24+"},
	{"R20 before R22, later end in the same unit", "0-16+ 24-30", "24-31", verdicts{defrag.Overlap, defrag.Overlap, defrag.ConflictingEnd}, "16-24+"},
	{"R20 before R22, full unit over the last", "0-16+ 24-30", "24-32+", verdicts{defrag.Overlap, defrag.Overlap, defrag.ConflictingEnd}, "16-24+"},
	{"R22 data past the end", "0-16+ 24-32", "32-40+", verdicts{defrag.EndMismatch, defrag.EndMismatch, defrag.ConflictingEnd}, "16-24+"},
	{"R22 data far past the end", "0-16+ 24-32", "1024-1040+", verdicts{defrag.EndMismatch, defrag.EndMismatch, defrag.ConflictingEnd}, "16-24+"},
	{"R22 data past an unaligned end", "0-16+ 24-30", "32-40+", verdicts{defrag.EndMismatch, defrag.EndMismatch, defrag.ConflictingEnd}, "16-24+"},
	{"R22 end before data held", "0-16+ 32-48+", "24-30", verdicts{defrag.EndMismatch, defrag.EndMismatch, defrag.ConflictingEnd}, "16-32+ 48-50"},
	{"R22 end before data held, only the last unit", "0-16+ 32-48+", "24-32", verdicts{defrag.EndMismatch, defrag.EndMismatch, defrag.ConflictingEnd}, "16-32+ 48-50"},
	{"R22 before R20 in policy linux: end", "0-16+ 32-48+", "24-40", verdicts{defrag.Overlap, defrag.Overlap, defrag.ConflictingEnd}, "16-32+ 48-50"},
	{"R22 before R20 in policy linux: data", "0-16+ 24-32", "24-40+", verdicts{defrag.Overlap, defrag.Overlap, defrag.ConflictingEnd}, "16-24+"},

	{"R14 unaligned", "0-16+ 24-40+", "16-23+", verdicts{defrag.Unaligned, defrag.Unaligned, defrag.Passed}, "16-24+ 40-42"},
	{"R14 unaligned first", "24-40+", "0-23+", verdicts{defrag.Unaligned, defrag.Unaligned, defrag.Passed}, "0-24+ 40-42"},
	{"R14 before R20", "0-16+ 16-24+", "8-23+", verdicts{defrag.Unaligned, defrag.Unaligned, defrag.Passed}, "24-25"},
	{"R14 before R22", "0-16+ 24-32", "32-41+", verdicts{defrag.Unaligned, defrag.Unaligned, defrag.Passed}, "16-24+"},
	{"R15 past the maximum", "0-16+", "65528-65536", alike(defrag.PastMaximum, defrag.PastMaximum), "16-24"},
	{"R17 empty", "0-16+ 24-40+", "16-16+", alike(defrag.EmptyFragment, defrag.EmptyFragment), "16-24+ 40-42"},
	{"R17 empty last", "0-16+ 24-40+", "40-40", alike(defrag.EmptyFragment, defrag.EmptyFragment), "16-24+ 40-42"},
	{"R17 empty last before data held", "0-16+ 24-40+", "16-16", verdicts{defrag.EmptyFragment, defrag.EmptyFragment, defrag.ConflictingEnd}, "16-24+ 40-42"},
	{"R17 empty past the end", "0-16+ 24-32", "64-64+", verdicts{defrag.EmptyFragment, defrag.EmptyFragment, defrag.ConflictingEnd}, "16-24+"},
}

func TestCollect(t *testing.T) {
	for _, c := range collections {
		t.Run(c.name, func(t *testing.T) { forPolicies(t, c.check) })
	}
}

// check gathers the pieces and the newcomer, and then looks at what the
// newcomer left behind (R21).
func (c collection) check(t *testing.T, policy defrag.Policy) {
	r := newRig(t, defrag.ZoneConfig{Policy: policy})
	held := pieces(t, 5, c.held)
	r.hold(held...)
	f := r.gather(piece(t, 5, c.newcomer))
	want := c.want[policy]
	if f.verdict != want {
		t.Fatalf("%v, want %v", f.verdict, want)
	}
	owed := map[defrag.Verdict]defrag.ICMPError{defrag.Unaligned: problem(0, 4), defrag.PastMaximum: problem(0, 42)}[want]
	if policy == defrag.Linux {
		owed = defrag.ICMPError{}
	}
	switch want {
	case defrag.Overlap, defrag.EndMismatch, defrag.DuplicateDiscard:
		r.wantDrops(want, len(held)+1, owed)
		if policy == defrag.RFC5722 {
			c.afterDiscard(r)
		} else {
			c.forgotten(r)
		}
	case defrag.Passed:
		r.wantDrops(defrag.UnalignedDiscard, len(held), owed)
		c.forgotten(r)
	default:
		r.wantDrops(want, 1, owed)
		r.wantHeld(1, uint64(len(held)))
		r.deliver(datagram(endOf(c.held+" "+c.rest)), pieces(t, 5, c.rest)...)
	}
}

// datagram returns the one whose pieces are of content, up to end.
func datagram(end int) []byte { return peers.Packet(wire.UDPProtocol, content[:end]) }

// anew is a datagram that shares no range with any collection.
const anew = "0-2048+ 2048-2049"

// forgotten checks that nothing of the datagram is remembered.
func (c collection) forgotten(r *rig) {
	r.Helper()
	r.wantHeld(0, 0)
	r.deliver(datagram(endOf(anew)), pieces(r.TB.(*testing.T), 5, anew)...)
	r.clock.Advance(2 * defrag.DefaultTimeout)
	if d := r.take(); len(d) != 0 {
		r.Errorf("R21: told of %v later", d)
	}
}

// afterDiscard checks that the rest of the datagram is dropped until the
// timeout, counted from the first fragment, and no longer.
func (c collection) afterDiscard(r *rig) {
	r.Helper()
	t := r.TB.(*testing.T)
	r.wantHeld(1, 0)
	for _, wait := range []time.Duration{0, defrag.DefaultTimeout / 2, defrag.DefaultTimeout/2 - 1} {
		r.clock.Advance(wait)
		rest := pieces(t, 5, c.held+" "+c.newcomer+" "+anew)
		for _, p := range rest {
			if f := r.gather(p); f.verdict != defrag.AfterDiscard {
				r.Errorf("R21: %v, want after-discard", f.verdict)
			}
		}
		r.wantDrops(defrag.AfterDiscard, len(rest), defrag.ICMPError{})
		r.wantHeld(1, 0)
	}
	r.clock.Advance(1)
	c.forgotten(r)
}

// R15: octet 65,535 is the last; the pointer is that of the offset field.
func TestCollectUpToTheMaximum(t *testing.T) {
	routed := peers
	routed.Extensions = chainOf(extension{wire.Routing, wire.Options(2)})
	for _, c := range []struct {
		name           string
		header         wire.Header
		offset, length int
		more, past     bool
	}{
		{"R15 ends at 65,535", peers, 65528, 7, false, false},
		{"R15 ends at 65,536", peers, 65528, 8, false, true},
		{"R15 ends at 65,536, more", peers, 65528, 8, true, true},
		{"R15 ends at 65,528, more", peers, 65520, 8, true, false},
		{"R15 ends far past", peers, 65528, 60000, true, true},
		{"R15 long one that ends at 65,535", peers, 8000, 57535, false, false},
		{"R15 long one that ends at 65,536", peers, 8000, 57536, false, true},
		{"R15 behind headers", routed, 65528, 8, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			forPolicies(t, func(t *testing.T, policy defrag.Policy) {
				r := newRig(t, defrag.ZoneConfig{Policy: policy})
				f := r.gather(c.header.Fragment(wire.Fragment{ID: 1, Offset: c.offset, More: c.more}, content[:c.length]))
				if !c.past {
					if f.verdict != defrag.Held {
						t.Errorf("%v, want held", f.verdict)
					}
					return
				}
				owed := problem(0, uint32(42+c.header.Extensions.Len()))
				if policy == defrag.Linux {
					owed = defrag.ICMPError{}
				}
				r.wantDrops(defrag.PastMaximum, 1, owed)
				r.wantHeld(0, 0)
			})
		})
	}
}

// R16: with 24 octets of headers before the Fragment header, 65,511 octets of
// data are the most.
func TestCollectTooLong(t *testing.T) {
	h := extended()
	later, all := peers, extended()
	all.Extensions = all.Extensions.With(wire.Routing, wire.Options(8)) // Of later fragments: no matter.
	for _, c := range []struct {
		name string
		list string // the last one decides
		want verdicts
	}{
		{"R16 fits", "0-32000+ 32000-64000+ 64000-65511", alike(defrag.Reassembled, defrag.Reassembled)},
		{"R16 fits, first last", "64000-65511 32000-64000+ 0-32000+", alike(defrag.Reassembled, defrag.Reassembled)},
		{"R16 on completion", "0-32000+ 32000-64000+ 64000-65512", alike(defrag.DatagramTooLong, defrag.DatagramTooLong)},
		{"R16 on completion, first last", "64000-65512 32000-64000+ 0-32000+", alike(defrag.DatagramTooLong, defrag.DatagramTooLong)},
		{"R16 before completion", "0-16+ 65504-65512+", alike(defrag.DatagramTooLong, defrag.Held)},
		{"R16 when the first arrives", "65504-65512+ 0-16+", alike(defrag.DatagramTooLong, defrag.Held)},
		{"R16 end known", "0-16+ 65504-65512", alike(defrag.DatagramTooLong, defrag.Held)},
		{"R16 without the first", "32000-64000+ 65504-65535", alike(defrag.Held, defrag.Held)},
		{"R20 before R16", "0-16+ 65496-65504+ 65496-65512+", alike(defrag.Overlap, defrag.Overlap)},
		{"R22 before R16", "0-16+ 65496-65504 65504-65512+", alike(defrag.EndMismatch, defrag.ConflictingEnd)},
	} {
		for name, other := range map[string]wire.Header{"": h, ", no headers on later ones": later, ", more on later ones": all} {
			t.Run(c.name+name, func(t *testing.T) {
				forPolicies(t, func(t *testing.T, policy defrag.Policy) {
					r := newRig(t, defrag.ZoneConfig{Policy: policy})
					list := strings.Fields(c.list)
					var f fate
					for i, s := range list {
						f = r.gather(long(t, s, h, other))
						if i < len(list)-1 && f.verdict != defrag.Held {
							t.Fatalf("%s: %v", s, f.verdict)
						}
					}
					want := c.want[policy]
					switch {
					case f.verdict != want:
						t.Fatalf("%v, want %v", f.verdict, want)
					case want == defrag.Reassembled:
						if !bytes.Equal(f.packet, h.Packet(wire.UDPProtocol, content[:65511])) {
							t.Errorf("wrong datagram of %d octets", len(f.packet))
						}
					case want == defrag.DatagramTooLong:
						r.wantDrops(want, len(list), defrag.ICMPError{})
						if policy == defrag.RFC5722 {
							r.wantHeld(1, 0)
						} else {
							r.wantHeld(0, 0)
						}
					}
				})
			})
		}
	}
}

// long is piece with headers of its own for the first fragment.
func long(t *testing.T, s string, first, later wire.Header) []byte {
	p := piece(t, 1, s)
	h := later
	if strings.HasPrefix(s, "0-") {
		h = first
	}
	return h.Packet(wire.FragmentHeader, p[40:])
}

// R10: an atomic fragment and a queue of the same key do not know each other.
func TestCollectBesideAtomic(t *testing.T) {
	for _, c := range []struct {
		name, held, atomic string
		linux              defrag.Verdict
		rest               string
	}{
		{"R10 alone", "", "0-16", defrag.Reassembled, ""},
		{"R10 before data held", "16-32+", "0-16", defrag.ConflictingEnd, "0-16+ 32-40"},
		{"R10 other end", "16-32", "0-16", defrag.ConflictingEnd, "0-16+"},
		{"R10 over the first", "0-16+", "0-24", defrag.Overlap, "16-20"},
		{"R10 over the last", "8-24", "0-24", defrag.Overlap, "0-8+"},
		{"R10 same as the first", "0-16+", "0-16", defrag.Duplicate, "16-20"},
		{"R10 shorter than the first", "0-16+", "0-8", defrag.ConflictingEnd, "16-20"},
	} {
		t.Run(c.name, func(t *testing.T) {
			forPolicies(t, func(t *testing.T, policy defrag.Policy) {
				r := newRig(t, defrag.ZoneConfig{Policy: policy})
				held := pieces(t, 5, c.held)
				r.hold(held...)
				f := r.gather(piece(t, 5, c.atomic))
				if policy == defrag.Linux {
					if f.verdict != c.linux {
						t.Errorf("%v, want %v", f.verdict, c.linux)
					}
				} else if want := datagram(endOf(c.atomic)); f.verdict != defrag.Atomic || !bytes.Equal(f.packet, want) {
					t.Errorf("%v %x, want atomic %x", f.verdict, f.packet, want)
				}
				if policy == defrag.Linux && c.linux == defrag.Overlap || c.held == "" {
					r.wantHeld(0, 0)
					return
				}
				r.wantHeld(1, uint64(len(held)))
				r.deliver(datagram(endOf(c.held+" "+c.rest)), pieces(t, 5, c.rest)...)
			})
		})
	}
	t.Run("R10 after a discard", func(t *testing.T) {
		r := newRig(t, defrag.ZoneConfig{Policy: defrag.RFC5722})
		r.hold(piece(t, 5, "0-16+"))
		r.gather(piece(t, 5, "8-24+"))
		if f := r.gather(piece(t, 5, "0-16")); f.verdict != defrag.Atomic {
			t.Errorf("%v, want atomic", f.verdict)
		}
		r.wantHeld(1, 0)
	})
}

// R23: a late copy starts a queue of its own; only the first fragment's copy
// is worth a word when that times out.
func TestCollectLateCopy(t *testing.T) {
	for late, owed := range map[string]defrag.ICMPError{
		"0-16+": {Type: 3, Code: 1}, "16-32+": {}, "32-40": {},
	} {
		t.Run("R23 "+late, func(t *testing.T) {
			forPolicies(t, func(t *testing.T, policy defrag.Policy) {
				r := newRig(t, defrag.ZoneConfig{Policy: policy})
				r.deliver(datagram(40), pieces(t, 5, "0-16+ 16-32+ 32-40")...)
				r.hold(piece(t, 5, late))
				r.wantHeld(1, 1)
				r.clock.Advance(defrag.DefaultTimeout)
				r.wantDrops(defrag.TimedOut, 1, owed)
				r.wantHeld(0, 0)
			})
		})
	}
	t.Run("R23 all again", func(t *testing.T) {
		forPolicies(t, func(t *testing.T, policy defrag.Policy) {
			r := newRig(t, defrag.ZoneConfig{Policy: policy})
			for range 3 {
				r.deliver(datagram(40), pieces(t, 5, "0-16+ 16-32+ 32-40")...)
			}
		})
	})
}
