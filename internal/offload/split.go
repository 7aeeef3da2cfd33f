package offload

import (
	"encoding/binary"
	"errors"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

var (
	errLength        = errors.New("offload: a packet to be cut is not as long as it says")
	errChain         = errors.New("offload: the headers of a packet to be cut do not lead to its transport header")
	errFragment      = errors.New("offload: a packet to be cut is a fragment")
	errAuthenticated = errors.New("offload: a packet to be cut is authenticated")
	errDetoured      = errors.New("offload: the checksum of a packet to be cut covers a destination not its own")
)

// Split cuts packet, which is taken over, into segments with finished checksums.
// It calls add with each, in order; the segment is the callee's. A packet with
// nothing to cut gives one call. Payload is shared; headers have a view of their
// own. An error says why the packet cannot be cut: then nothing was added.
//
//	all    lengths and checksums; IPv4 identification counts up
//	TCP    sequence numbers; CWR only in the first (RFC 3168 section 6.1.2),
//	       FIN and PSH only in the last; all else as in packet
//	UDP    over IPv4 no checksum if packet has none
func (j Job) Split(packet *buffer.Buffer, add func(segment buffer.Buffer)) error {
	defer packet.Release()
	o := octetsOf(packet)
	headers, count, err := j.cut(&o)
	if err != nil {
		return err
	}
	if count == 1 {
		return j.whole(packet, add)
	}
	c := cutter{job: j, count: count}
	if c.layout, err = j.layoutToCut(&o); err != nil {
		return err
	}
	c.headers = headOf(packet, headers)
	defer c.headers.Release()
	c.prepare()
	packet.TrimFront(int64(headers))
	for range count {
		add(c.segment(packet))
	}
	return nil
}

// whole finishes packet and adds it.
func (j Job) whole(packet *buffer.Buffer, add func(segment buffer.Buffer)) error {
	if err := j.Finish(packet); err != nil {
		return err
	}
	add(take(packet, int(packet.Size())))
	return nil
}

// layoutToCut returns the layout of a packet that can be cut.
func (j Job) layoutToCut(o *octets) (layout, error) {
	l, ok := o.layout()
	protocol := uint8(protoTCP)
	if j.Kind == UDP {
		protocol = protoUDP
	}
	switch {
	case !ok || l.end != o.limit:
		return l, errLength
	case l.fragmented:
		return l, errFragment
	case l.authenticated:
		return l, errAuthenticated
	case l.transport != j.Start || l.protocol != protocol:
		return l, errChain
	case l.detoured && !j.Checksum:
		return l, errDetoured
	}
	return l, nil
}

// A cutter makes the segments of one packet.
type cutter struct {
	job     Job
	layout  layout
	headers *buffer.View // those of the packet
	count   int          // of segments
	made    int          // segments so far
	base    uint16       // sum of the pseudo-header without the length
	// unsummed says that the datagrams have no checksum.
	unsummed bool
}

// prepare finds out what the checksums begin with.
func (c *cutter) prepare() {
	transport := c.headers.AsSlice()[c.layout.transport:]
	field := binary.BigEndian.Uint16(transport[c.offset():])
	if c.job.Checksum {
		// The field knows the final destination, which the headers may not.
		c.base = checksum.Combine(field, ^uint16(c.layout.end-c.layout.transport))
		return
	}
	c.base = c.layout.pseudo(0)
	c.unsummed = c.job.Kind == UDP && c.layout.version == 4 && field == 0
}

// offset returns where in the transport header the checksum is.
func (c *cutter) offset() int {
	if c.job.Kind == UDP {
		return udpChecksumOffset
	}
	return tcpChecksumOffset
}

// segment returns the next segment, the caller's, with payload from the front of
// rest.
func (c *cutter) segment(rest *buffer.Buffer) buffer.Buffer {
	payload := take(rest, c.job.MSS)
	view := buffer.NewView(c.headers.Size())
	_, _ = view.Write(c.headers.AsSlice()) // A view grows as needed.
	octets := view.AsSlice()               // Nobody else has them yet.
	size := len(octets) + int(payload.Size())
	if c.layout.version == 4 {
		c.patchIPv4(octets, size)
	} else {
		header.IPv6(octets).SetPayloadLength(uint16(size - header.IPv6MinimumSize))
	}
	transport := octets[c.layout.transport:]
	if c.job.Kind == TCP {
		c.patchTCP(transport)
	} else {
		header.UDP(transport).SetLength(uint16(size - c.layout.transport))
	}
	c.sum(transport, &payload)
	c.made++
	segment := buffer.MakeWithView(view)
	segment.Merge(&payload)
	return segment
}

func (c *cutter) patchIPv4(octets []byte, size int) {
	ip := header.IPv4(octets)
	ip.SetTotalLength(uint16(size))
	ip.SetID(ip.ID() + uint16(c.made))
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
}

func (c *cutter) patchTCP(octets []byte) {
	tcp := header.TCP(octets)
	tcp.SetSequenceNumber(tcp.SequenceNumber() + uint32(c.made*c.job.MSS))
	flags := tcp.Flags()
	if c.made > 0 {
		flags &^= header.TCPFlagCwr
	}
	if c.made < c.count-1 {
		flags &^= header.TCPFlagFin | header.TCPFlagPsh
	}
	tcp.SetFlags(uint8(flags))
}

// sum writes the checksum of a segment into its transport header.
func (c *cutter) sum(transport []byte, payload *buffer.Buffer) {
	if c.unsummed {
		return
	}
	field := transport[c.offset():]
	binary.BigEndian.PutUint16(field, 0)
	sum := checksum.Combine(c.base, uint16(len(transport)+int(payload.Size())))
	sum = checksum.Checksum(transport, sum)
	sum = checksum.Combine(sum, payload.Checksum(0))
	binary.BigEndian.PutUint16(field, c.job.complement(sum))
}

// take moves the first n octets, or all there are, from packet to the result.
func take(packet *buffer.Buffer, n int) (front buffer.Buffer) {
	if n >= int(packet.Size()) {
		front, *packet = *packet, buffer.Buffer{}
		return front
	}
	views := packet.AsViewList()
	missing := n
	for v := views.Front(); missing > 0; v = v.Next() {
		part := v.Clone()
		part.CapLength(missing)
		missing -= part.Size()
		b := buffer.MakeWithView(part)
		front.Merge(&b)
	}
	packet.TrimFront(int64(n))
	return front
}
