package wire

import "encoding/binary"

// Control bits of TCP.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// A Segment is what the header of a built TCP segment says. The zero Segment is
// from port 80 to port 81, with an acknowledgement and no window.
type Segment struct {
	SourcePort, DestinationPort uint16
	Sequence, Acknowledgement   uint32
	Flags                       uint8 // 0 means ACK
	Window                      uint16
	Options                     []byte // a multiple of 4 octets
}

// checksumAt is where in a TCP header the checksum is.
const checksumAt = 16

// Segment returns a TCP segment with its checksum, for h's addresses.
func (h Header) Segment(s Segment, payload []byte) []byte {
	m := s.header(payload)
	binary.BigEndian.PutUint16(m[checksumAt:], h.Checksum(TCP, m))
	return m
}

// Unsummed is Segment with the sum of the pseudo-header, not complemented, in
// place of the checksum: for links that put that in.
func (h Header) Unsummed(s Segment, payload []byte) []byte {
	m := s.header(payload)
	total := uint32(^h.Checksum(TCP, nil)) + uint32(len(m))
	binary.BigEndian.PutUint16(m[checksumAt:], uint16(total>>16+total&0xffff))
	return m
}

// Segments returns the packets that a stream's payload goes in, in order, each
// with mss octets but the last: FIN and PSH on the last, CWR on the first.
func (h Header) Segments(s Segment, payload []byte, mss int) [][]byte {
	var packets [][]byte
	for at := 0; at < len(payload) || at == 0; at += mss {
		end := min(at+mss, len(payload))
		piece := s
		if piece.Flags == 0 {
			piece.Flags = ACK
		}
		piece.Sequence += uint32(at)
		if end < len(payload) {
			piece.Flags &^= FIN | PSH
		}
		if at > 0 {
			piece.Flags &^= CWR
		}
		packets = append(packets, h.Packet(TCP, h.Segment(piece, payload[at:end])))
	}
	return packets
}

// header returns the header, without a checksum, and payload behind it.
func (s Segment) header(payload []byte) []byte {
	if s.SourcePort == 0 {
		s.SourcePort = 80
	}
	if s.DestinationPort == 0 {
		s.DestinationPort = 81
	}
	if s.Flags == 0 {
		s.Flags = ACK
	}
	m := make([]byte, 20, 20+len(s.Options)+len(payload))
	binary.BigEndian.PutUint16(m, s.SourcePort)
	binary.BigEndian.PutUint16(m[2:], s.DestinationPort)
	binary.BigEndian.PutUint32(m[4:], s.Sequence)
	binary.BigEndian.PutUint32(m[8:], s.Acknowledgement)
	m[12] = byte(5+len(s.Options)/4) << 4
	m[13] = s.Flags
	binary.BigEndian.PutUint16(m[14:], s.Window)
	return append(append(m, s.Options...), payload...)
}
