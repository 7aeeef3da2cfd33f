package filter

// Next-header values that the walk knows (IANA "Assigned Internet Protocol
// Numbers").
const (
	hopByHop           = 0
	routing            = 43
	fragmentHeader     = 44
	authentication     = 51
	noNextHeader       = 59
	destinationOptions = 60
	mobility           = 135
	hostIdentity       = 139
	shim6              = 140
)

// A chainEnd is what the walk of a header chain comes to.
type chainEnd uint8

const (
	cutOff        chainEnd = iota // a header is not all there
	upperLayer                    // the upper layer of a whole datagram
	firstFragment                 // the upper layer of a first fragment
	laterFragment                 // a fragment that is not the first
)

// walk follows a header chain whose first header is of type next, at position
// at, through all extension headers (RFC 7045 section 1). It returns where the
// upper layer begins. Each step is at least 8 octets long, so the work is
// bounded by the packet's length.
func walk(o *octets, next uint8, at int) (protocol uint8, position int, end chainEnd) {
	end = upperLayer
	for {
		switch next {
		case hopByHop, routing, authentication, destinationOptions, fragmentHeader:
		case mobility, hostIdentity, shim6:
			// They are extension headers by name, and upper layers in use: then
			// nothing follows.
			if h := o.at(at, 1); h != nil && h[0] == noNextHeader {
				return next, at, end
			}
		default:
			return next, at, end
		}
		h := o.at(at, 8) // No extension header is shorter.
		if h == nil {
			return next, at, cutOff
		}
		switch next {
		case fragmentHeader:
			if h[2] != 0 || h[3]&^7 != 0 {
				return h[0], at + 8, laterFragment
			}
			if h[3]&1 != 0 {
				end = firstFragment
			}
			at += 8
		case authentication: // RFC 4302 section 2.2.
			at += (int(h[1]) + 2) * 4
		default:
			at += (int(h[1]) + 1) * 8
		}
		next = h[0]
		if at > o.limit {
			return next, at, cutOff
		}
	}
}
