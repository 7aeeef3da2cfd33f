package capture

import (
	"encoding/binary"
	"math"
)

// A journal builds a new capture of whole IP packets: its header first, then a
// record for each packet. Times are in nanoseconds since 1970; those that the
// format cannot tell are cut to the nearest it can.
type journal interface {
	appendHeader(dst []byte) []byte
	appendPacket(dst []byte, time int64, comment string, packet []byte) []byte
}

// A pcapJournal writes pcap in the given byte order and time resolution. There
// is no place for comments.
type pcapJournal struct {
	order binary.ByteOrder
	magic uint32
	unit  int64
}

// journal returns a journal of the same byte order and resolution.
func (p *pcap) journal() journal { return pcapJournal{p.order, p.magic, p.unit} }

func (j pcapJournal) appendHeader(dst []byte) []byte {
	dst = appendUint32(dst, j.order, j.magic)
	dst = appendUint16(dst, j.order, 2)
	dst = appendUint16(dst, j.order, 4)
	dst = append(dst, make([]byte, 8)...) // time zone and accuracy
	dst = appendUint32(dst, j.order, snapLength)
	return appendUint32(dst, j.order, uint32(Raw))
}

func (j pcapJournal) appendPacket(dst []byte, time int64, _ string, packet []byte) []byte {
	time = min(max(time, 0), math.MaxUint32*1e9)
	dst = appendUint32(dst, j.order, uint32(time/1e9))
	dst = appendUint32(dst, j.order, uint32(time%1e9/j.unit))
	dst = appendUint32(dst, j.order, uint32(len(packet)))
	dst = appendUint32(dst, j.order, uint32(len(packet)))
	return append(dst, packet...)
}

// An ngJournal writes pcapng with one interface and a resolution of
// nanoseconds.
type ngJournal struct {
	order binary.ByteOrder
}

// journal returns a journal in the byte order of the section read last.
func (n *ng) journal() journal { return ngJournal{n.order} }

func (j ngJournal) appendHeader(dst []byte) []byte {
	dst = appendBlock(dst, j.order, blockSection, func(dst []byte) []byte {
		dst = appendUint32(dst, j.order, byteOrderMagic)
		dst = appendUint16(dst, j.order, 1)
		dst = appendUint16(dst, j.order, 0)
		return append(dst, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	})
	return appendBlock(dst, j.order, blockInterface, func(dst []byte) []byte {
		dst = appendUint16(dst, j.order, uint16(Raw))
		dst = appendUint16(dst, j.order, 0)
		dst = appendUint32(dst, j.order, snapLength)
		dst = appendOption(dst, j.order, optionResolution, []byte{9})
		return append(dst, 0, 0, 0, 0)
	})
}

func (j ngJournal) appendPacket(dst []byte, time int64, comment string, packet []byte) []byte {
	stamp := uint64(max(time, 0))
	return appendBlock(dst, j.order, blockEnhanced, func(dst []byte) []byte {
		dst = appendUint32(dst, j.order, 0)
		dst = appendUint32(dst, j.order, uint32(stamp>>32))
		dst = appendUint32(dst, j.order, uint32(stamp))
		dst = appendUint32(dst, j.order, uint32(len(packet)))
		dst = appendUint32(dst, j.order, uint32(len(packet)))
		dst = appendPadded(dst, packet)
		dst = appendOption(dst, j.order, optionComment, []byte(comment))
		return append(dst, 0, 0, 0, 0)
	})
}

// appendUint16 appends v in the given byte order.
func appendUint16(dst []byte, order binary.ByteOrder, v uint16) []byte {
	var word [2]byte
	order.PutUint16(word[:], v)
	return append(dst, word[:]...)
}
