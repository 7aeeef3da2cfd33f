package offload_test

import (
	"encoding/binary"
	"net/netip"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/internal/wire"
)

// A draft is a TCP or UDP packet to be built, field by field.
type draft struct {
	v4         bool
	class      uint8
	hops       uint8
	label      uint32          // IPv6
	extensions wire.Extensions // IPv6
	id         uint16          // IPv4
	df         bool            // IPv4
	ipOptions  int             // IPv4, in words

	udp      bool
	from, to uint16
	payload  []byte

	seq, ack       uint32
	window, urgent uint16
	reserved       uint8 // the low half of octet 12
	flags          uint8
	options        []byte

	pending  bool // The checksum is that of the pseudo-header alone.
	unsummed bool // The checksum is 0.
}

const (
	fin = 1 << iota
	syn
	rst
	psh
	ack
	urg
	ece
	cwr
)

// tcp returns the draft of a segment with n octets of payload.
func tcp(n int) draft {
	return draft{
		class: 0x02, hops: 61, label: 0xabcde, id: 0xfffe, df: true,
		from: 40000, to: 443,
		seq: 0xfffffe00, ack: 77, window: 500, flags: ack,
		payload: wire.Payload(n),
	}
}

// timestamps are the usual options of a segment: NOP, NOP, Timestamps.
var timestamps = []byte{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}

var (
	ends6 = [2]netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:ffff::2")}
	ends4 = [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.2")}
)

func (d draft) protocol() uint8 {
	if d.udp {
		return wire.UDPProtocol
	}
	return wire.TCP
}

// start returns where the transport header begins.
func (d draft) start() int {
	if d.v4 {
		return 20 + 4*d.ipOptions
	}
	return 40 + d.extensions.Len()
}

// headers returns where the payload begins.
func (d draft) headers() int {
	if d.udp {
		return d.start() + 8
	}
	return d.start() + 20 + len(d.options)
}

// job returns what a link is asked to do with the packet.
func (d draft) job(mss int) offload.Job {
	if d.udp {
		return offload.Job{Kind: offload.UDP, MSS: mss, Checksum: d.pending, Start: d.start(), Offset: 6}
	}
	return offload.Job{Kind: offload.TCP, MSS: mss, Checksum: d.pending, Start: d.start(), Offset: 16}
}

// packet builds the packet.
func (d draft) packet() []byte {
	header, offset := d.tcpHeader(), 16
	if d.udp {
		header, offset = d.udpHeader(), 6
	}
	message := append(header, d.payload...)
	switch sum := d.pseudo(len(message)); {
	case d.unsummed:
	case d.pending:
		binary.BigEndian.PutUint16(message[offset:], slowSum(sum))
	default:
		check := ^slowSum(sum, message)
		if check == 0 && d.udp {
			check = 0xffff
		}
		binary.BigEndian.PutUint16(message[offset:], check)
	}
	if d.v4 {
		return append(d.ipv4Header(len(message)), message...)
	}
	h := wire.Header{
		Source: ends6[0], Destination: ends6[1],
		TrafficClass: d.class, FlowLabel: d.label, HopLimit: d.hops, Extensions: d.extensions,
	}
	return h.Packet(d.protocol(), message)
}

func (d draft) tcpHeader() []byte {
	h := make([]byte, 20)
	binary.BigEndian.PutUint16(h, d.from)
	binary.BigEndian.PutUint16(h[2:], d.to)
	binary.BigEndian.PutUint32(h[4:], d.seq)
	binary.BigEndian.PutUint32(h[8:], d.ack)
	h[12] = byte(5+len(d.options)/4)<<4 | d.reserved
	h[13] = d.flags
	binary.BigEndian.PutUint16(h[14:], d.window)
	binary.BigEndian.PutUint16(h[18:], d.urgent)
	return append(h, d.options...)
}

func (d draft) udpHeader() []byte {
	h := make([]byte, 8)
	binary.BigEndian.PutUint16(h, d.from)
	binary.BigEndian.PutUint16(h[2:], d.to)
	binary.BigEndian.PutUint16(h[4:], uint16(8+len(d.payload)))
	return h
}

func (d draft) ipv4Header(length int) []byte {
	h := make([]byte, 20+4*d.ipOptions)
	h[0] = byte(4<<4 | len(h)/4)
	h[1] = d.class
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+length))
	binary.BigEndian.PutUint16(h[4:], d.id)
	if d.df {
		h[6] = 0x40
	}
	h[8] = d.hops
	h[9] = d.protocol()
	copy(h[12:], ends4[0].AsSlice())
	copy(h[16:], ends4[1].AsSlice())
	for i := 20; i < len(h); i++ {
		h[i] = 1 // No operation.
	}
	binary.BigEndian.PutUint16(h[10:], ^slowSum(h))
	return h
}

// pseudo returns the pseudo-header.
func (d draft) pseudo(length int) []byte {
	ends := ends6
	if d.v4 {
		ends = ends4
	}
	p := append(ends[0].AsSlice(), ends[1].AsSlice()...)
	p = binary.BigEndian.AppendUint32(p, uint32(length))
	return append(p, 0, 0, 0, d.protocol())
}

// slowSum adds the octets of all parts, each an even number but for the last.
func slowSum(parts ...[]byte) uint16 {
	sum := 0
	for _, part := range parts {
		for i, octet := range part {
			sum += int(octet) << (8 * (1 - i%2))
			sum = sum&0xffff + sum>>16
		}
	}
	return uint16(sum)
}

// segments builds the packets that a link makes of the draft's: the model of
// [offload.Job.Split].
func (d draft) segments(mss int) [][]byte {
	if len(d.payload) <= mss {
		d.pending = false
		return [][]byte{d.packet()}
	}
	var packets [][]byte
	for at := 0; at < len(d.payload); at += mss {
		s := d
		s.pending = false
		s.unsummed = d.unsummed && d.v4
		s.payload = d.payload[at:min(at+mss, len(d.payload))]
		s.seq += uint32(at)
		s.id += uint16(at / mss)
		if at > 0 {
			s.flags &^= cwr
		}
		if at+mss < len(d.payload) {
			s.flags &^= fin | psh
		}
		packets = append(packets, s.packet())
	}
	return packets
}
