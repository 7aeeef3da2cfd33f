package filter

import "gvisor.dev/gvisor/pkg/buffer"

// octets reads a packet from front to back without changing it, whatever the
// sizes of the views it lies in.
type octets struct {
	view *buffer.View
	here []byte // of view
	base int    // position of here in the packet
	// limit is the position that no read passes.
	limit   int
	scratch [ipv6HeaderLength]byte
}

// at returns n octets at position at, or nil where the limit or the last view
// ends first. at must not decrease from call to call, n is at most 40, and the
// result holds until the next call.
func (o *octets) at(at, n int) []byte {
	if at+n > o.limit {
		return nil
	}
	if i := at - o.base; i+n <= len(o.here) {
		return o.here[i : i+n]
	}
	return o.across(at, n)
}

// across is at where the octets do not lie in the view looked at last.
func (o *octets) across(at, n int) []byte {
	for at >= o.base+len(o.here) {
		if !o.step() {
			return nil
		}
	}
	here := o.here[at-o.base:]
	if len(here) >= n {
		return here[:n]
	}
	got := copy(o.scratch[:n], here)
	for v := o.next(); got < n; v = v.Next() {
		if v == nil {
			return nil
		}
		got += copy(o.scratch[got:n], v.AsSlice())
	}
	return o.scratch[:n]
}

// next returns the view behind the one looked at, or nil.
func (o *octets) next() *buffer.View {
	if o.view == nil {
		return nil
	}
	return o.view.Next()
}

// step goes on to the next view; it reports false at the last.
func (o *octets) step() bool {
	v := o.next()
	if v == nil {
		return false
	}
	o.base += len(o.here)
	o.view, o.here = v, v.AsSlice()
	return true
}
