package defrag

import "gvisor.dev/gvisor/pkg/buffer"

// octets reads a buffer from front to back without changing it, whatever the
// sizes of its views.
type octets struct {
	view *buffer.View
	base int // position of view in the buffer
	// limit is the position that no read passes.
	limit   int
	scratch [40]byte
}

// makeOctets returns the octets of b, borrowed.
func makeOctets(b *buffer.Buffer) octets {
	views := b.AsViewList()
	return octets{view: views.Front(), limit: int(b.Size())}
}

// at returns n octets at position at, or nil where the limit comes first. at
// must not decrease from call to call, n is at most 40, and the result holds
// until the next call.
func (o *octets) at(at, n int) []byte {
	if at+n > o.limit {
		return nil
	}
	for at >= o.base+o.view.Size() {
		o.base += o.view.Size()
		o.view = o.view.Next()
	}
	here := o.view.AsSlice()[at-o.base:]
	if len(here) >= n {
		return here[:n]
	}
	got := copy(o.scratch[:n], here)
	for v := o.view.Next(); got < n; v = v.Next() {
		got += copy(o.scratch[got:n], v.AsSlice())
	}
	return o.scratch[:n]
}

// copyOut appends length octets of b from position from on to dst.
func copyOut(dst *buffer.View, b *buffer.Buffer, from, length int) {
	views := b.AsViewList()
	for v := views.Front(); v != nil && length > 0; v = v.Next() {
		if from >= v.Size() {
			from -= v.Size()
			continue
		}
		here := v.AsSlice()[from:]
		here = here[:min(len(here), length)]
		dst.Write(here)
		length -= len(here)
		from = 0
	}
}
