package filter

// numLists is the number of lists of flows: two a state, for flows without and
// with a reply. In a list all timeouts are equal, so that the flow whose packet
// is the oldest expires first.
const numLists = 2 * int(numStates)

// An order keeps numbers above 0 in lists, each number in one at most. It knows
// nothing of flows, and stands apart from them: few octets a number are much
// kinder to caches than neighbours in the flows themselves.
type order struct {
	lists      [numLists]list
	neighbours []neighbours // by number
}

// A list's numbers; 0 is none.
type list struct {
	first, last int32
}

// neighbours of a number in its list; 0 is none.
type neighbours struct {
	before, after int32
}

// add puts i at the end of a list.
func (o *order) add(list int, i int32) {
	for int(i) >= len(o.neighbours) {
		o.neighbours = append(o.neighbours, neighbours{})
	}
	l := &o.lists[list]
	o.neighbours[i] = neighbours{before: l.last}
	if l.last == 0 {
		l.first = i
	} else {
		o.neighbours[l.last].after = i
	}
	l.last = i
}

// remove takes i out of the list it is in.
func (o *order) remove(list int, i int32) {
	l, n := &o.lists[list], o.neighbours[i]
	if n.before == 0 {
		l.first = n.after
	} else {
		o.neighbours[n.before].after = n.after
	}
	if n.after == 0 {
		l.last = n.before
	} else {
		o.neighbours[n.after].before = n.before
	}
}

// each calls visit with every number; visit may remove it.
func (o *order) each(visit func(i int32)) {
	for _, l := range o.lists {
		for i := l.first; i != 0; {
			after := o.neighbours[i].after
			visit(i)
			i = after
		}
	}
}
