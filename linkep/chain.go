package linkep

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A reader reads single octets of a packet spread over views, at offsets that
// never fall by more than the view they are in. It borrows the views.
type reader struct {
	view  *buffer.View
	start int // offset of the view's first octet
}

// packetReader returns a reader of pkt; offset 0 is the first octet of its
// network header, which has not been parsed.
func packetReader(pkt *gstack.PacketBuffer) reader {
	views, offset := pkt.AsViewList()
	return reader{view: views.Front(), start: -(offset + pkt.HeaderSize())}
}

// bufferReader returns a reader of packet.
func bufferReader(packet *buffer.Buffer) reader {
	views := packet.AsViewList()
	return reader{view: views.Front()}
}

// octet returns the octet at offset; ok is false past the end.
func (r *reader) octet(offset int) (value byte, ok bool) {
	for r.view != nil {
		octets := r.view.AsSlice()
		if i := offset - r.start; i < len(octets) {
			return octets[i], true
		}
		r.start += len(octets)
		r.view = r.view.Next()
	}
	return 0, false
}

// A stride says how the length of an extension header is found.
type stride uint8

const (
	stop     stride = iota // not stepped over
	eights                 // 8·(length + 1) octets
	fours                  // 4·(length + 2) octets, RFC 4302 section 2.2
	eight                  // 8 octets
	fragment               // 8 octets if Fragment Offset is 0, else the end
)

// strides tells which headers a walk steps over, by Next Header value.
type strides [256]stride

const (
	mobility   = 135
	hip        = 139
	shim6      = 140
	experiment = uint8(header.IPv6ExperimentExtHdrIdentifier)
)

var (
	// engineStrides are those of package defrag on its way to the Fragment
	// header.
	engineStrides = strides{
		uint8(header.IPv6HopByHopOptionsExtHdrIdentifier):    eights,
		uint8(header.IPv6RoutingExtHdrIdentifier):            eights,
		uint8(header.IPv6AuthenticationExtHdrIdentifier):     fours,
		uint8(header.IPv6DestinationOptionsExtHdrIdentifier): eights,
		mobility: eights,
		hip:      eights,
		shim6:    eights,
	}
	// gvisorStrides are those of gVisor's IPv6PayloadIterator. It knows the
	// experimental header of RFC 4727, and Authentication not yet.
	gvisorStrides = strides{
		uint8(header.IPv6HopByHopOptionsExtHdrIdentifier):    eights,
		uint8(header.IPv6RoutingExtHdrIdentifier):            eights,
		uint8(header.IPv6DestinationOptionsExtHdrIdentifier): eights,
		experiment: eight,
	}
	// causeStrides lead to the upper layer also of a first fragment.
	causeStrides = withFragment(engineStrides)

	// chained tells which Next Header values in the IPv6 header call for a
	// closer look.
	chained = chainedValues()
)

func withFragment(s strides) strides {
	s[header.IPv6FragmentExtHdrIdentifier] = fragment
	return s
}

func chainedValues() (values [256]bool) {
	for i := range values {
		values[i] = causeStrides[i] != stop || gvisorStrides[i] != stop
	}
	return values
}

// walk follows the header chain of the IPv6 packet that r is at the start of.
// It returns the first header that s does not step over, and its offset; ok is
// false if the chain is cut off before. Each step is at least 8 octets long, so
// the work is bounded by the packet's length.
func walk(r reader, s *strides) (protocol uint8, offset int, ok bool) {
	protocol, ok = r.octet(header.IPv6NextHeaderOffset)
	offset = header.IPv6MinimumSize
	for ok && s[protocol] != stop {
		var next, length byte
		if next, ok = r.octet(offset); !ok {
			break
		}
		if length, ok = r.octet(offset + 1); !ok {
			break
		}
		switch s[protocol] {
		case eights:
			offset += 8 * (int(length) + 1)
		case fours:
			offset += 4 * (int(length) + 2)
		case eight:
			offset += 8
		case fragment:
			if first, known := isFirst(&r, offset); !known || !first {
				return protocol, offset, known
			}
			offset += 8
		}
		protocol = next
	}
	return protocol, offset, ok
}

// isFirst reports whether the Fragment Offset of the Fragment header at offset
// is 0; ok is false if it is cut off.
func isFirst(r *reader, offset int) (first, ok bool) {
	high, _ := r.octet(offset + 2)
	low, ok := r.octet(offset + 3)
	return high == 0 && low&^7 == 0, ok
}

// isFragment is [walk]'s answer that a Fragment header comes next.
func isFragment(protocol uint8) bool {
	return protocol == uint8(header.IPv6FragmentExtHdrIdentifier)
}
