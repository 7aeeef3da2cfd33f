package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxRecord is the longest record that is read, in octets, whatever the file
// says: what Wireshark and libpcap accept of their largest link types.
const maxRecord = 128<<20 + 128<<10

// snapLength is the least snapshot length that OUT announces. A reassembled
// datagram (65,575 octets and its link header) may be longer than any packet
// of IN, and readers refuse packets longer than the snapshot length.
const snapLength = 256 << 10

// retained is the largest buffer, in octets, that is kept for the next record.
const retained = 1 << 20

// A Record is one unit of a capture file: a packet or, in pcapng, any other
// block. It is valid until the next call of [Reader.Next].
type Record struct {
	// Raw is the record as OUT has it: the octets of the file but for what
	// must change there (a snapshot length, the length of a section). Borrowed
	// from the Reader.
	Raw []byte
	// Number of the packet, from 1; 0 if the record is no packet. The
	// following fields are set for packets only.
	Number uint64
	// LinkType of Data.
	LinkType LinkType
	// Interface the packet was captured on, counted from 0 over the whole
	// file; 0 throughout in pcap.
	Interface uint32
	// Time of the packet in nanoseconds since 1970, if Timed is set. Times out
	// of that range are at its ends.
	Time  int64
	Timed bool
	// Data is the packet as captured, link header included; a part of Raw.
	Data []byte
	// FrameCheck is the length in octets of the frame check sequence at the
	// end of the packet, as far as the file says; 0 if it has none.
	FrameCheck int
}

// A format reads and builds the records of one file format.
type format interface {
	// next reads a record. The error is io.EOF at the end of the file.
	next(rec *Record) error
	// replace appends a record that has the packet data instead of rec's.
	replace(dst []byte, rec *Record, data []byte) []byte
	// journal returns the writer of a new capture of this format.
	journal() journal
}

// A Reader reads the records of a capture file; the first one is its header.
// Make one with [NewReader]. It is for one goroutine at a time.
type Reader struct {
	in     *input
	format format
	record Record
	// primed says that record has been read and not yet been handed out.
	primed bool
}

// errNoCapture is the cause when a file is none that we read.
var errNoCapture = errors.New("want a pcap or pcapng capture")

// NewReader returns a reader of the capture file that r delivers, having read
// its header. The error says why r is no capture file that can be read.
func NewReader(r io.Reader) (*Reader, error) {
	in := newInput(r)
	magic, err := in.buffered.Peek(4)
	if err == io.EOF {
		return nil, fmt.Errorf("the file ends after %d octets: %w", len(magic), errNoCapture)
	}
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	reader := &Reader{in: in, primed: true}
	if binary.BigEndian.Uint32(magic) == blockSection {
		reader.format = newNG(in)
	} else if reader.format, err = newPcap(in, [4]byte(magic)); err != nil {
		return nil, err
	}
	if err := reader.format.next(&reader.record); err != nil {
		return nil, fmt.Errorf("header: %w", ended(err, 0))
	}
	return reader, nil
}

// Next returns the next record, borrowed until the next call. The error is
// io.EOF at the end of the file, and a [*Damage] where the file makes no
// sense or cannot be read; there is nothing more to read after it.
func (r *Reader) Next() (*Record, error) {
	if r.primed {
		r.primed = false
		return &r.record, nil
	}
	raw := r.record.Raw[:0]
	if cap(raw) > retained {
		raw = nil
	}
	r.record = Record{Raw: raw}
	if err := r.format.next(&r.record); err != nil {
		return nil, err
	}
	return &r.record, nil
}
