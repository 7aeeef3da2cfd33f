package filter_test

import (
	"encoding/binary"

	"github.com/v6stack/v6stack/stack/filter"
)

// modelHeaders cuts all extension headers off data, whose first header is of
// type next. whole is false if one is cut off, fragment is what the last
// Fragment header says.
func modelHeaders(next uint8, data []byte) (protocol uint8, rest []byte, fragment string, whole bool) {
	for {
		switch next {
		case 0, 43, 44, 51, 60:
		case 135, 139, 140:
			if len(data) > 0 && data[0] == 59 {
				return next, data, fragment, true
			}
		default:
			return next, data, fragment, true
		}
		length := 8
		if len(data) < length {
			return next, data, fragment, false
		}
		switch next {
		case 44:
			field := binary.BigEndian.Uint16(data[2:])
			if field>>3 != 0 {
				return data[0], data[8:], "later", true
			}
			if field&1 != 0 {
				fragment = "first"
			}
		case 51:
			length = 4*int(data[1]) + 8
		default:
			length = 8*int(data[1]) + 8
		}
		next = data[0]
		if len(data) < length {
			return next, nil, fragment, false
		}
		data = data[length:]
	}
}

// modelSize is how much of an upper-layer header must be there.
func modelSize(protocol uint8) int {
	switch protocol {
	case filter.TCP:
		return 20
	case filter.UDP, filter.ICMPv6:
		return 8
	}
	return 0
}

// modelParse is Parse for all it accepts.
func modelParse(packet []byte) (p filter.Packet, ok bool) {
	if len(packet) < 40 || packet[0]>>4 != 6 {
		return p, false
	}
	payload := int(binary.BigEndian.Uint16(packet[4:]))
	if payload > len(packet)-40 {
		return p, false
	}
	protocol, rest, fragment, whole := modelHeaders(packet[6], packet[40:40+payload])
	if !whole || fragment != "" || len(rest) < modelSize(protocol) {
		return p, false
	}
	p.Source, p.Destination = [16]byte(packet[8:]), [16]byte(packet[24:])
	p.Protocol, p.Length = protocol, 40+payload
	switch protocol {
	case filter.TCP:
		p.TCPFlags = rest[13]
		fallthrough
	case filter.UDP:
		p.SourcePort, p.DestinationPort = binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
	case filter.ICMPv6:
		p.ICMPType, p.ICMPCode = rest[0], rest[1]
		if rest[0] == 128 || rest[0] == 129 {
			p.Identifier = binary.BigEndian.Uint16(rest[4:])
		}
		if rest[0] < 128 {
			p.Quote = modelQuote(rest[8:])
		}
	}
	return p, true
}

// modelQuote reads what an error quotes.
func modelQuote(packet []byte) (q filter.Quote) {
	if len(packet) < 40 || packet[0]>>4 != 6 {
		return q
	}
	q.Source, q.Destination = [16]byte(packet[8:]), [16]byte(packet[24:])
	protocol, rest, fragment, whole := modelHeaders(packet[6], packet[40:])
	if fragment == "later" {
		q.Kind = filter.FragmentQuote
		return q
	}
	if !whole {
		return q
	}
	q.Protocol = protocol
	switch {
	case (protocol == filter.TCP || protocol == filter.UDP) && len(rest) >= 4:
		q.SourcePort, q.DestinationPort = binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
	case protocol == filter.ICMPv6 && len(rest) >= 6:
		q.ICMPType = rest[0]
		if rest[0] == 128 || rest[0] == 129 {
			q.Identifier = binary.BigEndian.Uint16(rest[4:])
		}
	case protocol == filter.TCP || protocol == filter.UDP || protocol == filter.ICMPv6:
		return q
	}
	q.Kind = filter.WholeQuote
	return q
}
