package capture

import (
	"encoding/binary"
	"fmt"
)

// Types of pcapng blocks that are looked into.
const (
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6
	blockSection   = 0x0a0d0d0a
)

// byteOrderMagic tells the byte order of a section.
const byteOrderMagic = 0x1a2b3c4d

// blockFrame is the length in octets of what surrounds a block's body: type
// and length before it, the length again behind it.
const (
	blockHead  = 8
	blockTail  = 4
	blockFrame = blockHead + blockTail
)

// bodyMinimum is the length in octets of the fixed part of the bodies that
// are looked into.
var bodyMinimum = map[uint32]int{
	blockInterface: 8,
	blockPacket:    20,
	blockSimple:    4,
	blockEnhanced:  20,
	blockSection:   16,
}

// readBlock appends the next block to raw, whole, and returns its type. A
// section header changes the byte order.
func (n *ng) readBlock(raw []byte) (_ []byte, kind uint32, err error) {
	if raw, err = n.in.append(raw, blockHead); err != nil {
		return raw, 0, err
	}
	if binary.BigEndian.Uint32(raw) == blockSection {
		// The length cannot be read before the byte order is known.
		if raw, err = n.in.append(raw, 4); err != nil {
			return raw, 0, ended(err, 4)
		}
		if n.order, err = sectionOrder(raw[blockHead:]); err != nil {
			return raw, 0, err
		}
	}
	kind = n.order.Uint32(raw)
	length := n.order.Uint32(raw[4:])
	if err := checkLength(kind, length); err != nil {
		return raw, kind, err
	}
	rest := int(length) - len(raw)
	if raw, err = n.in.append(raw, rest); err != nil {
		return raw, kind, ended(err, rest)
	}
	if again := n.order.Uint32(raw[length-blockTail:]); again != length {
		return raw, kind, fmt.Errorf("the block's length is %d at its start and %d at its end", length, again)
	}
	return raw, kind, nil
}

// sectionOrder returns the byte order that the magic of a section header
// tells.
func sectionOrder(magic []byte) (binary.ByteOrder, error) {
	switch uint32(byteOrderMagic) {
	case binary.LittleEndian.Uint32(magic):
		return binary.LittleEndian, nil
	case binary.BigEndian.Uint32(magic):
		return binary.BigEndian, nil
	}
	return nil, fmt.Errorf("byte-order magic %#x of a section: want %#x in either order", magic[:4], byteOrderMagic)
}

// checkLength says what is wrong with the length of a block.
func checkLength(kind, length uint32) error {
	least := uint32(blockFrame + bodyMinimum[kind])
	if length < least || length > maxRecord || length%4 != 0 {
		return fmt.Errorf("block of type %#x: length %d: want a multiple of 4 from %d to %d", kind, length, least, maxRecord)
	}
	return nil
}

// body returns the part of a block between its lengths.
func body(raw []byte) []byte { return raw[blockHead : len(raw)-blockTail] }

// appendBlock appends a block of the given type whose body is what fill
// appends.
func appendBlock(dst []byte, order binary.ByteOrder, kind uint32, fill func([]byte) []byte) []byte {
	start := len(dst)
	dst = appendUint32(dst, order, kind)
	dst = appendUint32(dst, order, 0)
	dst = fill(dst)
	length := uint32(len(dst) - start + blockTail)
	order.PutUint32(dst[start+4:], length)
	return appendUint32(dst, order, length)
}

// appendPadded appends data and zeroes up to a multiple of four octets.
func appendPadded(dst, data []byte) []byte {
	dst = append(dst, data...)
	return append(dst, make([]byte, padding(len(data)))...)
}

// padding returns how many octets are missing from n to a multiple of four.
func padding(n int) int { return -n & 3 }
