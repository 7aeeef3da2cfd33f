package capture

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Sizes of the file header and of the header of a packet in pcap.
const (
	pcapHeader = 24
	pcapRecord = 16
)

// Fields of the last word of a pcap file header.
const (
	pcapLinkType      = 0x03ffffff
	pcapFrameCheck    = 1 << 26 // the packets end with a frame check sequence
	pcapCheckShift    = 28      // … of that many 16-bit words
	pcapSnapOffset    = 16
	pcapNetworkOffset = 20
)

// foreignMagics are those of files that are mistaken for captures we read.
var foreignMagics = []struct {
	magic string
	what  string
}{
	{"\x1f\x8b", "compressed by gzip: decompress it first, as in gzip -dc FILE | v6stack defrag - OUT"},
	{"\x28\xb5\x2f\xfd", "compressed by zstd: decompress it first, as in zstd -dc FILE | v6stack defrag - OUT"},
	{"\xfd7zX", "compressed by xz: decompress it first, as in xz -dc FILE | v6stack defrag - OUT"},
	{"\xa1\xb2\xcd\x34", "in the modified pcap format of old Linux kernels, which is not supported"},
	{"\x34\xcd\xb2\xa1", "in the modified pcap format of old Linux kernels, which is not supported"},
	{"snoo", "a snoop capture, which is not supported"},
}

// A pcap reads and builds the records of a pcap file.
type pcap struct {
	in       *input
	order    binary.ByteOrder
	magic    uint32
	unit     int64 // nanoseconds of a unit of the time stamps' fraction
	begun    bool  // the file header was read
	linkType LinkType
	check    int // octets of frame check sequence
	limit    int // the longest packet that makes sense
	packets  uint64
}

// newPcap returns the reader of the pcap file that begins with magic.
func newPcap(in *input, magic [4]byte) (*pcap, error) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch m := order.Uint32(magic[:]); m {
		case magicMicro:
			return &pcap{in: in, order: order, magic: m, unit: 1000}, nil
		case magicNano:
			return &pcap{in: in, order: order, magic: m, unit: 1}, nil
		}
	}
	for _, f := range foreignMagics {
		if string(magic[:len(f.magic)]) == f.magic {
			return nil, fmt.Errorf("the file is %s: %w", f.what, errNoCapture)
		}
	}
	return nil, fmt.Errorf("the file begins with %#x: %w", magic, errNoCapture)
}

// Magic numbers of pcap files by the unit of their time stamps.
const (
	magicMicro = 0xa1b2c3d4
	magicNano  = 0xa1b23c4d
)

// next reads the file header, then packet after packet.
func (p *pcap) next(rec *Record) (err error) {
	if !p.begun {
		p.begun = true
		return p.readHeader(rec)
	}
	offset := p.in.offset
	if err = p.readPacket(rec); err != nil && err != io.EOF {
		return &Damage{Packet: p.packets + 1, Offset: offset, Err: err}
	}
	return err
}

// readHeader reads the file header and raises its snapshot length.
func (p *pcap) readHeader(rec *Record) (err error) {
	if rec.Raw, err = p.in.append(rec.Raw, pcapHeader); err != nil {
		return err
	}
	if major := p.order.Uint16(rec.Raw[4:]); major != 2 {
		return fmt.Errorf("pcap version %d.%d: want 2.4", major, p.order.Uint16(rec.Raw[6:]))
	}
	network := p.order.Uint32(rec.Raw[pcapNetworkOffset:])
	p.linkType = LinkType(network & pcapLinkType)
	if !p.linkType.Supported() {
		return fmt.Errorf("link type %d: want %s", p.linkType, linkTypeNames())
	}
	if network&pcapFrameCheck != 0 {
		p.check = int(network>>pcapCheckShift) * 2
	}
	snap := p.order.Uint32(rec.Raw[pcapSnapOffset:])
	p.limit = int(min(max(snap, snapLength), maxRecord))
	if snap < snapLength {
		p.order.PutUint32(rec.Raw[pcapSnapOffset:], snapLength)
	}
	return nil
}

// readPacket reads one packet.
func (p *pcap) readPacket(rec *Record) (err error) {
	if rec.Raw, err = p.in.append(rec.Raw, pcapRecord); err != nil {
		return err
	}
	captured := p.order.Uint32(rec.Raw[8:])
	if uint64(captured) > uint64(p.limit) {
		return fmt.Errorf("captured length %d: want at most %d", captured, p.limit)
	}
	if rec.Raw, err = p.in.append(rec.Raw, int(captured)); err != nil {
		return ended(err, int(captured))
	}
	p.packets++
	seconds, fraction := p.order.Uint32(rec.Raw), p.order.Uint32(rec.Raw[4:])
	rec.Number = p.packets
	rec.LinkType, rec.FrameCheck = p.linkType, p.check
	rec.Time, rec.Timed = int64(seconds)*1e9+int64(fraction)*p.unit, true
	rec.Data = rec.Raw[pcapRecord:]
	return nil
}

// replace appends a packet with rec's time.
func (p *pcap) replace(dst []byte, rec *Record, data []byte) []byte {
	dst = append(dst, rec.Raw[:8]...)
	dst = appendUint32(dst, p.order, uint32(len(data)))
	dst = appendUint32(dst, p.order, uint32(len(data)))
	return append(dst, data...)
}

// appendUint32 appends v in the given byte order.
func appendUint32(dst []byte, order binary.ByteOrder, v uint32) []byte {
	var word [4]byte
	order.PutUint32(word[:], v)
	return append(dst, word[:]...)
}
