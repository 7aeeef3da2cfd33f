package capture

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// maxInterfaces bounds the interfaces of one section.
const maxInterfaces = 1 << 16

// An ng reads and builds the records of a pcapng file.
type ng struct {
	in *input
	// order of the section.
	order binary.ByteOrder
	// interfaces of the section; earlier is how many there were before it.
	interfaces []ngInterface
	earlier    uint32
	packets    uint64
}

// An ngInterface is what an Interface Description Block says.
type ngInterface struct {
	linkType   LinkType
	snap       uint32 // as the file says; 0 is no limit
	resolution resolution
	offset     int64 // seconds to add to time stamps
	check      int   // octets of frame check sequence
}

// newNG returns the reader of a pcapng file.
func newNG(in *input) *ng { return &ng{in: in, order: binary.LittleEndian} }

// next reads a block.
func (n *ng) next(rec *Record) error {
	offset := n.in.offset
	var kind uint32
	var err error
	rec.Raw, kind, err = n.readBlock(rec.Raw)
	if err == nil {
		err = n.interpret(kind, rec)
	}
	if err == nil || err == io.EOF {
		return err
	}
	if slices.Contains([]uint32{blockPacket, blockSimple, blockEnhanced}, kind) {
		return &Damage{Packet: n.packets + 1, Offset: offset, Err: err}
	}
	return &Damage{Packet: n.packets, Between: true, Offset: offset, Err: err}
}

// interpret learns from a block what later ones need, and finds its packet.
func (n *ng) interpret(kind uint32, rec *Record) error {
	switch kind {
	case blockSection:
		return n.beginSection(rec.Raw)
	case blockInterface:
		return n.addInterface(rec.Raw)
	case blockEnhanced, blockPacket:
		return n.stampedPacket(kind, rec)
	case blockSimple:
		return n.simplePacket(rec)
	}
	return nil
}

// beginSection forgets the interfaces of the last section. The section's
// length, if told, is taken back: packets of another length are to come.
func (n *ng) beginSection(raw []byte) error {
	if major := n.order.Uint16(raw[12:]); major != 1 {
		return fmt.Errorf("pcapng version %d.%d: want 1.0", major, n.order.Uint16(raw[14:]))
	}
	for i := range raw[16:24] {
		raw[16+i] = 0xff
	}
	n.earlier += uint32(len(n.interfaces))
	n.interfaces = n.interfaces[:0]
	return nil
}

// addInterface learns an interface and raises its snapshot length.
func (n *ng) addInterface(raw []byte) error {
	if len(n.interfaces) == maxInterfaces {
		return fmt.Errorf("interface %d of a section: want at most %d", maxInterfaces, maxInterfaces)
	}
	fixed := body(raw)
	i := ngInterface{
		linkType:   LinkType(n.order.Uint16(fixed)),
		snap:       n.order.Uint32(fixed[4:]),
		resolution: microseconds,
	}
	for option := range options(n.order, fixed[8:]) {
		switch {
		case option.code == optionResolution && len(option.value) == 1:
			i.resolution = resolution(option.value[0])
		case option.code == optionTimeOffset && len(option.value) == 8:
			i.offset = int64(n.order.Uint64(option.value))
		case option.code == optionFCS && len(option.value) == 1:
			i.check = int(option.value[0])
		}
	}
	if i.snap != 0 && i.snap < snapLength {
		n.order.PutUint32(fixed[4:], snapLength)
	}
	n.interfaces = append(n.interfaces, i)
	return nil
}

// stampedPacket finds the packet of an Enhanced Packet Block or of the Packet
// Block before it; they differ in how they name the interface.
func (n *ng) stampedPacket(kind uint32, rec *Record) error {
	fixed := body(rec.Raw)
	id := n.order.Uint32(fixed)
	if kind == blockPacket {
		id = uint32(n.order.Uint16(fixed))
	}
	stamp := uint64(n.order.Uint32(fixed[4:]))<<32 | uint64(n.order.Uint32(fixed[8:]))
	captured := n.order.Uint32(fixed[12:])
	if err := n.packet(rec, id, fixed[20:], captured); err != nil {
		return err
	}
	i := &n.interfaces[id]
	rec.Time, rec.Timed = i.resolution.nanoseconds(stamp, i.offset), true
	if check := frameCheckFlag(n.order, trailingOptions(fixed, captured)); check != 0 {
		rec.FrameCheck = check
	}
	return nil
}

// trailingOptions returns the options of a packet block, which stand behind
// its padded data.
func trailingOptions(fixed []byte, captured uint32) []byte {
	end := 20 + int(captured)
	return fixed[min(end+padding(end), len(fixed)):]
}

// frameCheckFlag returns the length of the frame check sequence that a
// packet's flags tell; 0 if they tell none.
func frameCheckFlag(order binary.ByteOrder, octets []byte) int {
	for option := range options(order, octets) {
		if option.code == optionFlags && len(option.value) == 4 {
			return int(order.Uint32(option.value) >> 5 & 0xf)
		}
	}
	return 0
}

// simplePacket finds the packet of a Simple Packet Block: it is of interface
// 0, has no time, and ends where that interface's snapshot length cuts it.
func (n *ng) simplePacket(rec *Record) error {
	fixed := body(rec.Raw)
	original := n.order.Uint32(fixed)
	captured := original
	if len(n.interfaces) > 0 && n.interfaces[0].snap != 0 {
		captured = min(captured, n.interfaces[0].snap)
	}
	if err := n.packet(rec, 0, fixed[4:], captured); err != nil {
		return err
	}
	if captured < original && n.interfaces[0].snap < snapLength {
		n.spellOut(rec, original)
	}
	return nil
}

// spellOut turns a cut Simple Packet Block into an Enhanced one with time
// stamp 0. In OUT the snapshot length does not tell any more where the packet
// was cut.
func (n *ng) spellOut(rec *Record, original uint32) {
	data := rec.Data
	rec.Raw = appendBlock(nil, n.order, blockEnhanced, func(dst []byte) []byte {
		dst = append(dst, make([]byte, 12)...) // interface and time stamp
		dst = appendUint32(dst, n.order, uint32(len(data)))
		dst = appendUint32(dst, n.order, original)
		return appendPadded(dst, data)
	})
	rec.Data = body(rec.Raw)[20:][:len(data)]
}

// packet fills in what all packet blocks have in common: the packet is the
// first captured octets of data.
func (n *ng) packet(rec *Record, id uint32, data []byte, captured uint32) error {
	if uint64(id) >= uint64(len(n.interfaces)) {
		return fmt.Errorf("interface %d: the section has %d so far", id, len(n.interfaces))
	}
	if uint64(captured) > uint64(len(data)) {
		return fmt.Errorf("captured length %d: the block has room for %d", captured, len(data))
	}
	n.packets++
	rec.Number = n.packets
	rec.LinkType, rec.FrameCheck = n.interfaces[id].linkType, n.interfaces[id].check
	rec.Interface = n.earlier + id
	rec.Data = data[:captured]
	return nil
}

// replace appends a block of rec's type, interface, time and options. Only a
// hash, which would not fit any more, is left out.
func (n *ng) replace(dst []byte, rec *Record, data []byte) []byte {
	kind, fixed := n.order.Uint32(rec.Raw), body(rec.Raw)
	return appendBlock(dst, n.order, kind, func(dst []byte) []byte {
		if kind == blockSimple {
			return appendPadded(appendUint32(dst, n.order, uint32(len(data))), data)
		}
		dst = append(dst, fixed[:12]...)
		dst = appendUint32(dst, n.order, uint32(len(data)))
		dst = appendUint32(dst, n.order, uint32(len(data)))
		dst = appendPadded(dst, data)
		return n.appendOptions(dst, trailingOptions(fixed, uint32(len(rec.Data))))
	})
}

// appendOptions appends the options of a packet but for its hash.
func (n *ng) appendOptions(dst, octets []byte) []byte {
	any := false
	for option := range options(n.order, octets) {
		if option.code != optionHash {
			dst, any = append(dst, option.whole...), true
		}
	}
	if any {
		dst = append(dst, 0, 0, 0, 0)
	}
	return dst
}
