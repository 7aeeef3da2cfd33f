package capture

import (
	"encoding/binary"
	"iter"
)

// Codes of pcapng options that are looked into.
const (
	optionEnd        = 0
	optionComment    = 1
	optionFlags      = 2 // of a packet
	optionHash       = 3 // of a packet
	optionResolution = 9 // of an interface
	optionFCS        = 13
	optionTimeOffset = 14
)

// An option is one pcapng option: its code, its value and, value included,
// all its octets.
type option struct {
	code  uint16
	value []byte
	whole []byte
}

// options yields the options of a block up to the end mark, to the end of the
// block, or to one that does not fit in it.
func options(order binary.ByteOrder, octets []byte) iter.Seq[option] {
	return func(yield func(option) bool) {
		for len(octets) >= 4 {
			code, length := order.Uint16(octets), int(order.Uint16(octets[2:]))
			end := 4 + length + padding(length)
			if code == optionEnd || end > len(octets) {
				return
			}
			if !yield(option{code, octets[4 : 4+length], octets[:end]}) {
				return
			}
			octets = octets[end:]
		}
	}
}

// appendOption appends an option.
func appendOption(dst []byte, order binary.ByteOrder, code uint16, value []byte) []byte {
	var head [4]byte
	order.PutUint16(head[:], code)
	order.PutUint16(head[2:], uint16(len(value)))
	return appendPadded(append(dst, head[:]...), value)
}
