package defrag

// ECN code points (RFC 3168 section 5).
const (
	notECT = 0
	ect1   = 1
	ect0   = 2
	ce     = 3
)

// ecnMarks is the set of code points seen on the fragments of a datagram, a
// bit each. The zero value is the empty set.
type ecnMarks uint8

// add returns the set with one more code point.
func (m ecnMarks) add(ecn uint8) ecnMarks { return m | 1<<ecn }

// merge returns the code point of the datagram whose first fragment carried
// that of first. ok is false where the datagram must be dropped (RFC 3168
// section 5.3):
//
//	all alike                        unchanged
//	CE among ECT(0), ECT(1) or both  CE
//	ECT(0) and ECT(1)                that of the first fragment, as in Linux
//	Not-ECT and any other            dropped
func (m ecnMarks) merge(first uint8) (ecn uint8, ok bool) {
	const unmarked = ecnMarks(1 << notECT)
	switch {
	case m == unmarked:
		return notECT, true
	case m&unmarked != 0:
		return 0, false
	case m&(1<<ce) != 0:
		return ce, true
	}
	return first, true
}
