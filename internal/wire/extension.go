package wire

// Authentication returns an Authentication header (RFC 4302 section 2) of
// 4·words octets, at least three words long, to be put into [Extensions].
func Authentication(words int) []byte {
	body := make([]byte, 4*words)
	body[1] = byte(words - 2)
	for i := 8; i < len(body); i++ {
		body[i] = byte(i)
	}
	return body
}

// Type returns the next-header value of the chain's first header, or next if
// the chain is empty.
func (e Extensions) Type(next uint8) uint8 {
	if len(e.octets) == 0 {
		return next
	}
	return e.first
}

// Len returns the chain's length in octets.
func (e Extensions) Len() int { return len(e.octets) }

// Before returns the chain with payload of type next behind it, as the
// payload of a header that announces e.Type(next).
func (e Extensions) Before(next uint8, payload []byte) []byte {
	_, octets := e.end(next)
	return append(octets, payload...)
}

// TCPSegment returns a TCP header of 20 octets and 4·optionWords of options
// with payload behind it, and its checksum, for h's addresses.
func (h Header) TCPSegment(optionWords int, payload []byte) []byte {
	s := make([]byte, 20+4*optionWords, 20+4*optionWords+len(payload))
	s[1], s[3] = 80, 81
	s[12] = byte(5+optionWords) << 4
	s[13] = 0x10 // ACK
	for i := 20; i < len(s); i++ {
		s[i] = 1 // No operation.
	}
	s = append(s, payload...)
	sum := h.Checksum(TCP, s)
	s[16], s[17] = byte(sum>>8), byte(sum)
	return s
}
