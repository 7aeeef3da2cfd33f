package defrag

// Next-header values that the walk of a header chain knows (IANA "Assigned
// Internet Protocol Numbers").
const (
	protoHopByHop           = 0
	protoTCP                = 6
	protoUDP                = 17
	protoRouting            = 43
	protoFragment           = 44
	protoAH                 = 51
	protoICMPv6             = 58
	protoNoNext             = 59
	protoDestinationOptions = 60
	protoMobility           = 135
	protoHIP                = 139
	protoShim6              = 140
)

// stepsOver reports whether the walk to the Fragment header goes on behind a
// header of this type. Linux's walk knows fewer types (docs/BEHAVIOUR.md).
func stepsOver(next uint8, policy Policy) bool {
	switch next {
	case protoHopByHop, protoRouting, protoAH, protoDestinationOptions:
		return true
	case protoMobility, protoHIP, protoShim6:
		return policy != Linux
	}
	return false
}

// extensionLength returns the length in octets of an extension header whose
// second octet is length. AH counts in 4-octet units (RFC 4302 section 2.2).
func extensionLength(next, length uint8) int {
	if next == protoAH {
		return (int(length) + 2) * 4
	}
	return (int(length) + 1) * 8
}

// upperLayerLength returns how many octets of an upper-layer header the first
// fragment must hold (RFC 8200 section 4.5, RFC 7112 section 5).
func upperLayerLength(next uint8) int {
	switch next {
	case protoTCP:
		return 20
	case protoUDP, protoICMPv6:
		return 8
	case protoNoNext:
		return 0
	}
	return 1
}

// isNeighborDiscovery reports whether RFC 6980 section 5 forbids fragments
// of ICMPv6 messages of this type.
func isNeighborDiscovery(kind uint8) bool {
	switch kind {
	case 133, 134, 135, 136, 137, 148:
		return true
	}
	return false
}

// fragmentableChain walks the headers behind the Fragment header of a first
// fragment, from position at on. It returns where the upper-layer header ends
// and Held, or why the fragment is dropped.
func fragmentableChain(o *octets, next uint8, at int) (end int, verdict Verdict) {
	for stepsOver(next, RFC8200) {
		e := o.at(at, 2)
		if e == nil {
			return 0, IncompleteChain
		}
		here := next
		next = e[0]
		at += extensionLength(here, e[1])
	}
	if next == protoFragment {
		return 0, NestedFragment
	}
	end = at + upperLayerLength(next)
	if end > o.limit {
		return 0, IncompleteChain
	}
	switch next {
	case protoICMPv6:
		if isNeighborDiscovery(o.at(at, 1)[0]) {
			return 0, NeighborDiscovery
		}
	case protoTCP:
		// Options belong to the header; a data offset that lies is not ours to
		// judge.
		options := int(o.at(at+12, 1)[0]>>4) * 4
		end = min(max(end, at+options), o.limit)
	}
	return end, Held
}

// linuxStub walks the headers behind the Fragment header of a first fragment
// as Linux does. It reports whether the packet ends before the upper-layer
// header does; otherwise end is where that header ends.
func linuxStub(o *octets, next uint8, at int) (end int, stub bool) {
	for {
		switch next {
		case protoNoNext:
			return min(at, o.limit), false
		case protoFragment:
			e := o.at(at, 4)
			if e == nil || e[2] != 0 || e[3]&^7 != 0 {
				return min(at, o.limit), false
			}
			next = e[0]
			at += 8
		case protoHopByHop, protoRouting, protoAH, protoDestinationOptions:
			e := o.at(at, 2)
			if e == nil {
				return min(at, o.limit), false
			}
			here := next
			next = e[0]
			at += extensionLength(here, e[1])
		default:
			end = at + upperLayerLength(next)
			return min(end, o.limit), end > o.limit
		}
	}
}
