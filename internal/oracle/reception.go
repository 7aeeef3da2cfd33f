package oracle

// received returns the packet as the kernel's receive function hands it to the
// hook, less padding, or nil if that drops it.
func received(packet []byte) []byte {
	if len(packet) < headerLength {
		return nil
	}
	if length := payloadLength(packet); length != 0 {
		if len(packet) < headerLength+length {
			return nil
		}
		packet = packet[:headerLength+length]
	} else if packet[6] != protocolHopByHop {
		packet = packet[:headerLength]
	}
	if refusedAddress(packet) || refusedOptions(packet) {
		return nil
	}
	return packet
}

// refusedAddress reports whether the kernel's receive function drops the
// packet for its addresses.
func refusedAddress(packet []byte) bool {
	source, destination := sourceOf(packet), destinationOf(packet)
	if source.IsLoopback() || destination.IsLoopback() || source.IsMulticast() {
		return true
	}
	scope := packet[25] & 0xf
	return destination.IsMulticast() && scope < 2
}

// Types and limits of hop-by-hop options, as the kernel has them.
const (
	optionPad1  = 0
	optionPadN  = 1
	optionJumbo = 0xc2
	// mostPadding in a row, in octets, and mostOptions in a header.
	mostPadding = 7
	mostOptions = 8
)

// refusedOptions reports whether the kernel's receive function drops the
// packet for its Hop-by-Hop Options header.
func refusedOptions(packet []byte) bool {
	if packet[6] != protocolHopByHop {
		return false
	}
	if len(packet) < headerLength+8 {
		return true
	}
	end := headerLength + extensionLength(packet, headerLength, protocolHopByHop)
	if end > len(packet) {
		return true
	}
	options := packet[headerLength+2 : end]
	padding, count := 0, 0
	for len(options) > 0 {
		length := 1
		if options[0] != optionPad1 {
			if len(options) < 2 || 2+int(options[1]) > len(options) {
				return true
			}
			length = 2 + int(options[1])
		}
		option := options[:length]
		options = options[length:]
		switch option[0] {
		case optionPad1, optionPadN:
			padding += length
			if padding > mostPadding || !zero(option[min(2, length):]) {
				return true
			}
		default:
			padding = 0
			count++
			if count > mostOptions || refusedOption(option) {
				return true
			}
		}
	}
	return false
}

// refusedOption reports whether the option is one to drop the packet for. A
// jumbogram cannot be longer than a TUN carries, so its option never fits.
func refusedOption(option []byte) bool {
	const action = 0xc0
	return option[0]&action != 0
}

// zero reports whether all octets are 0.
func zero(octets []byte) bool {
	for _, o := range octets {
		if o != 0 {
			return false
		}
	}
	return true
}
