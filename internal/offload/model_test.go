package offload_test

import "encoding/binary"

// modelValid is [offload.Valid] on flat octets, slow and plain.
func modelValid(p []byte) bool {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		return modelValid4(p)
	case len(p) >= 40 && p[0]>>4 == 6:
		return modelValid6(p)
	}
	return false
}

func modelValid4(p []byte) bool {
	headers, length := int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
	if headers < 20 || length < headers || length > len(p) || slowSum(p[:headers]) != 0xffff {
		return false
	}
	if binary.BigEndian.Uint16(p[6:])&0x3fff != 0 {
		return true
	}
	message := p[headers:length]
	if p[9] == 1 {
		return len(message) >= 4 && slowSum(message) == 0xffff
	}
	return p[9] == 58 || modelTransport(p[12:20], p[9], message, true)
}

func modelValid6(p []byte) bool {
	length := 40 + int(binary.BigEndian.Uint16(p[4:]))
	if length > len(p) {
		return false
	}
	next, rest, detour := p[6], p[40:length], false
	for {
		size := 0
		switch next {
		default:
			return detour || modelTransport(p[8:40], next, rest, false)
		case 0, 43, 60, 51, 44:
		}
		if len(rest) < 4 {
			return false
		}
		switch next {
		case 51:
			size = int(rest[1])*4 + 8
		case 44:
			size = 8
		default:
			size = int(rest[1])*8 + 8
		}
		if len(rest) < size {
			return false
		}
		if next == 44 && (rest[2] != 0 || rest[3]&^6 != 0) {
			return true
		}
		detour = detour || next == 43 && rest[3] > 0
		next, rest = rest[0], rest[size:]
	}
}

// modelTransport judges what stands behind all headers of IP.
func modelTransport(addresses []byte, protocol uint8, message []byte, v4 bool) bool {
	switch protocol {
	case 6:
		if len(message) < 20 {
			return false
		}
	case 17:
		if len(message) < 8 {
			return false
		}
		length := int(binary.BigEndian.Uint16(message[4:]))
		if length < 8 || length > len(message) {
			return false
		}
		if message[6] == 0 && message[7] == 0 {
			return v4
		}
		message = message[:length]
	case 58:
		if len(message) < 4 {
			return false
		}
	default:
		return true
	}
	pseudo := binary.BigEndian.AppendUint32(nil, uint32(len(message)))
	pseudo = append(pseudo, 0, 0, 0, protocol)
	return slowSum(addresses, pseudo, message) == 0xffff
}
