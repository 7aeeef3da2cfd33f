package oracle

import "bytes"

// CaptureLimit is the longest packet, in octets, that NFLOG shows whole.
const CaptureLimit = 65531

// Same reports whether two packets that came out are the same, as far as the
// kernel's log shows them.
func Same(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a[:min(len(a), CaptureLimit)], b[:min(len(b), CaptureLimit)])
}

func sameOutputs(a, b [][]byte) bool { return FirstDifference(a, b) < 0 }

// FirstDifference returns the number of the first packet upon which a and b,
// outputs of one sequence, are not the same, and -1 if there is none.
func FirstDifference(a, b [][]byte) int {
	for i := range a {
		if !Same(a[i], b[i]) {
			return i
		}
	}
	return -1
}
