package oracle

// A Rule is one thing that the kernel does otherwise than policy RFC8200 of
// package defrag, or a set of such. The zero value is the empty set.
type Rule uint32

// The first five are accidents of the kernel, which policy Linux does not
// imitate either; the rest is what sets policy Linux apart from RFC8200.
const (
	// HeaderPosition: the place of the next-header value that announces the
	// Fragment header is kept modulo 256.
	HeaderPosition Rule = 1 << iota
	// RefusedEnd: an empty or duplicate fragment sets the end.
	RefusedEnd
	// ArrivalRuns: whether octets held in pieces are a duplicate depends on the
	// order in which the pieces came.
	ArrivalRuns
	// MemoryRefusal: above the high threshold every fragment is refused.
	MemoryRefusal
	// Reception: the receive function drops or trims before the hook.
	Reception

	// OtherHeaders: no walk over Mobility, HIP and Shim6.
	OtherHeaders
	// Jumbograms: a fragment of Payload Length 0 passes.
	Jumbograms
	// CutHeader: a first fragment that ends within its Fragment header passes.
	CutHeader
	// HopByHopFirst: Hop-by-Hop Options behind the Fragment header are taken.
	HopByHopFirst
	// NestedHeader: a second Fragment header is taken.
	NestedHeader
	// Stubs: a first fragment without its whole header chain passes or is
	// taken.
	Stubs
	// Neighbors: Neighbor Discovery in fragments is taken.
	Neighbors
	// SharedAtomic: an atomic fragment meets the datagram of its key.
	SharedAtomic
	// UnalignedKill: a fragment of wrong length passes and takes its datagram
	// with it.
	UnalignedKill
	// HeldOctets: what is held already, though not as one fragment, is a
	// duplicate. ArrivalRuns goes further and settles it by itself.
	HeldOctets
	// FirstEnd: a fragment that disagrees with the end is dropped alone.
	FirstEnd
	// LateLength: a datagram that is too long is discarded when it is complete,
	// not as soon as that is seen.
	LateLength

	ruleEnd
)

// Sets of rules.
const (
	// Kernel is what the live kernel does.
	Kernel = ruleEnd - 1
	// Linux is what policy Linux does.
	Linux = Kernel &^ (HeaderPosition | RefusedEnd | ArrivalRuns | MemoryRefusal | Reception)
	// RFC8200 is what the default policy does.
	RFC8200 Rule = 0
)

// Has reports whether all rules of set are in r.
func (r Rule) Has(set Rule) bool { return r&set == set }

// A Row of docs/BEHAVIOUR.md names the rules that it is about.
type Row struct {
	ID    string
	Rules Rule
}

// LinuxRows returns the rows of differences between the kernel and policy
// Linux.
func LinuxRows() []Row {
	return []Row{
		{"D1", HeaderPosition},
		{"D2", RefusedEnd},
		{"D3", ArrivalRuns},
		{"D4", MemoryRefusal},
		{"D5", Reception},
	}
}

// DefaultRows returns the rows of differences between the kernel and policy
// RFC8200.
func DefaultRows() []Row {
	return []Row{
		{"D1", HeaderPosition},
		{"D2", RefusedEnd},
		{"D4", MemoryRefusal},
		{"D5", Reception},
		{"L1", OtherHeaders},
		{"L2", Jumbograms},
		{"L3", CutHeader},
		{"L4", HopByHopFirst},
		{"L5", NestedHeader},
		{"L6", Stubs},
		{"L7", Neighbors},
		{"L8", SharedAtomic},
		{"L9", UnalignedKill},
		{"L10", HeldOctets | ArrivalRuns},
		{"L11", FirstEnd},
		{"L12", LateLength},
	}
}

// Explain returns the rows, as few as it finds, that account for what came out
// upon the packets of a sequence: added to the rules of base, theirs make the
// model give exactly that. It returns false if all rows together do not.
func Explain(s *Sequence, outputs [][]byte, base Rule, rows []Row) ([]Row, bool) {
	if sameOutputs(outputs, Run(s, base)) {
		return nil, true
	}
	kept := append([]Row(nil), rows...)
	if !sameOutputs(outputs, Run(s, union(base, kept))) {
		return nil, false
	}
	for i := 0; i < len(kept); {
		fewer := append(append([]Row(nil), kept[:i]...), kept[i+1:]...)
		if sameOutputs(outputs, Run(s, union(base, fewer))) {
			kept = fewer
		} else {
			i++
		}
	}
	return kept, true
}

func union(base Rule, rows []Row) Rule {
	for _, r := range rows {
		base |= r.Rules
	}
	return base
}
