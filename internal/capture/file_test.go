package capture_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/v6stack/v6stack/internal/capture"
)

var bothOrders = []binary.ByteOrder{binary.LittleEndian, binary.BigEndian}

// word and half encode integers of a file.
func word(order binary.ByteOrder, v uint32) []byte {
	b := make([]byte, 4)
	order.PutUint32(b, v)
	return b
}

func half(order binary.ByteOrder, v uint16) []byte {
	b := make([]byte, 2)
	order.PutUint16(b, v)
	return b
}

// join returns the pieces as one.
func join(pieces ...[]byte) []byte { return bytes.Join(pieces, nil) }

// A packetAt is a packet of a test capture. original 0 means all of it was
// captured.
type packetAt struct {
	seconds, fraction uint32
	data              []byte
	original          int
}

func (p packetAt) originalLength() uint32 {
	if p.original == 0 {
		return uint32(len(p.data))
	}
	return uint32(p.original)
}

// A pcapFile builds pcap captures.
type pcapFile struct {
	order    binary.ByteOrder
	magic    uint32
	snap     uint32
	linkType uint32
}

func newPcapFile(linkType capture.LinkType) pcapFile {
	return pcapFile{binary.LittleEndian, 0xa1b2c3d4, 262144, uint32(linkType)}
}

func (f pcapFile) header() []byte {
	return join(word(f.order, f.magic), half(f.order, 2), half(f.order, 4),
		[]byte{1, 2, 3, 4, 5, 6, 7, 8}, // time zone and accuracy, to be kept
		word(f.order, f.snap), word(f.order, f.linkType))
}

func (f pcapFile) packet(p packetAt) []byte {
	return join(word(f.order, p.seconds), word(f.order, p.fraction),
		word(f.order, uint32(len(p.data))), word(f.order, p.originalLength()), p.data)
}

// file returns a capture of packets a second apart.
func (f pcapFile) file(packets ...[]byte) []byte {
	octets := f.header()
	for i, p := range packets {
		octets = append(octets, f.packet(packetAt{seconds: uint32(1000 + i), data: p})...)
	}
	return octets
}

// An ngFile builds pcapng blocks.
type ngFile struct{ order binary.ByteOrder }

var littleNG = ngFile{binary.LittleEndian}

func (f ngFile) block(kind uint32, body ...[]byte) []byte {
	b := join(body...)
	b = append(b, make([]byte, -len(b)&3)...)
	length := word(f.order, uint32(len(b)+12))
	return join(word(f.order, kind), length, b, length)
}

func (f ngFile) option(code uint16, value []byte) []byte {
	return join(half(f.order, code), half(f.order, uint16(len(value))), value, make([]byte, -len(value)&3))
}

func (f ngFile) section(options ...[]byte) []byte {
	return f.block(0x0a0d0d0a, word(f.order, 0x1a2b3c4d), half(f.order, 1), half(f.order, 0),
		bytes.Repeat([]byte{0xff}, 8), join(options...))
}

func (f ngFile) iface(linkType capture.LinkType, snap uint32, options ...[]byte) []byte {
	return f.block(1, half(f.order, uint16(linkType)), half(f.order, 0), word(f.order, snap), join(options...))
}

// enhanced returns an Enhanced Packet Block; p's time is taken as 64 bits.
func (f ngFile) enhanced(id uint32, p packetAt, options ...[]byte) []byte {
	return f.block(6, word(f.order, id), word(f.order, p.seconds), word(f.order, p.fraction),
		word(f.order, uint32(len(p.data))), word(f.order, p.originalLength()),
		p.data, make([]byte, -len(p.data)&3), join(options...))
}

// obsolete returns a Packet Block.
func (f ngFile) obsolete(id uint16, p packetAt, options ...[]byte) []byte {
	return f.block(2, half(f.order, id), half(f.order, 7), word(f.order, p.seconds), word(f.order, p.fraction),
		word(f.order, uint32(len(p.data))), word(f.order, p.originalLength()),
		p.data, make([]byte, -len(p.data)&3), join(options...))
}

// simple returns a Simple Packet Block.
func (f ngFile) simple(data []byte, original int) []byte {
	return f.block(3, word(f.order, uint32(original)), data)
}

// A result is what Defragment made of a capture.
type result struct {
	out, errors []byte
	counts      capture.Counts
	losses      []capture.Loss
	err         error
}

// defragment runs Defragment over in, which must begin as a capture does, and
// checks the balance of the counts.
func defragment(t testing.TB, in []byte, opts capture.Options) result {
	t.Helper()
	reader, err := capture.NewReader(bytes.NewReader(in))
	if err != nil {
		t.Fatalf("NewReader: %v", err)
	}
	var r result
	var out, errors bytes.Buffer
	opts.Errors = &errors
	opts.OnLoss = func(l *capture.Loss) { r.losses = append(r.losses, *l) }
	r.counts, r.err = capture.Defragment(t.Context(), reader, &out, opts)
	r.out, r.errors = out.Bytes(), errors.Bytes()
	c := r.counts
	if c.Written != c.Packets-c.Joined-c.Losses()+c.Datagrams {
		t.Errorf("counts do not balance: %+v", c)
	}
	if c.Losses() != uint64(len(r.losses)) {
		t.Errorf("%d losses counted, %d told", c.Losses(), len(r.losses))
	}
	return r
}

// mustBe fails unless the run went well and out is want.
func (r result) mustBe(t *testing.T, want []byte) {
	t.Helper()
	if r.err != nil {
		t.Fatalf("Defragment: %v", r.err)
	}
	mustEqual(t, r.out, want)
}

// mustEqual fails unless got is want, and shows where they part.
func mustEqual(t *testing.T, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Fatalf("%d octets, want %d; from offset %d on they are\n%x\nwant\n%x",
		len(got), len(want), at, got[at:min(at+64, len(got))], want[at:min(at+64, len(want))])
}
