package e2e

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/wire"
)

// offloadHeaderSize is the length of an offloadHeader in octets.
const offloadHeaderSize = 10

// An offloadHeader says what the kernel left undone in a packet: the
// virtio_net_hdr of the Virtual I/O Device specification, section 5.1.6.
type offloadHeader []byte

func (h offloadHeader) segmentSize() int   { return int(binary.NativeEndian.Uint16(h[4:])) }
func (h offloadHeader) checksumStart() int { return int(binary.NativeEndian.Uint16(h[6:])) }
func (h offloadHeader) checksumAt() int {
	return h.checksumStart() + int(binary.NativeEndian.Uint16(h[8:]))
}
func (h offloadHeader) needsChecksum() bool { return h[0]&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 }

// onWire returns the packets that a packet of length octets, of which those of
// packet were captured, makes on a wire; large is 1 if it is a large segment.
// Of TCP only the headers are returned, without the checksum: a large segment
// is not captured as a whole, and who receives the stream knows what was in it.
func (h offloadHeader) onWire(packet []byte, length int) (packets [][]byte, large int) {
	switch {
	case len(packet) >= 60 && packet[0]>>4 == 6 && packet[6] == wire.TCP:
		packets = segmentHeaders(packet, length, h.segmentSize())
		if len(packets) > 1 {
			large = 1
		}
		return packets, large
	case h.needsChecksum():
		finishChecksum(packet, h.checksumStart(), h.checksumAt())
	}
	return [][]byte{packet}, 0
}

// finishChecksum replaces the pseudo-header's sum by the checksum.
func finishChecksum(packet []byte, start, at int) {
	sum := ^onesSum(packet[start:])
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(packet[at:], sum)
}

// onesSum returns the ones' complement sum of octets.
func onesSum(octets []byte) uint16 {
	sum := uint32(0)
	for i, octet := range octets {
		if i%2 == 0 {
			sum += uint32(octet) << 8
		} else {
			sum += uint32(octet)
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// Flags of TCP.
const (
	tcpFIN = 0x01
	tcpPSH = 0x08
	tcpCWR = 0x80
)

// segmentHeaders returns the headers of the segments that a TCP packet of length
// octets makes, each with size octets of payload or less; a size of 0 is that of
// one segment. FIN and PSH are the last one's, CWR the first one's.
func segmentHeaders(packet []byte, length, size int) [][]byte {
	const tcp = 40
	headers := tcp + int(packet[tcp+12]>>4)*4
	payload := length - headers
	if size == 0 || size > payload {
		size = payload
	}
	flags, sequence := packet[tcp+13], binary.BigEndian.Uint32(packet[tcp+4:])
	var segments [][]byte
	for at := 0; at < payload || at == 0; at += size {
		segment := append([]byte(nil), packet[:headers]...)
		octets := min(size, payload-at)
		binary.BigEndian.PutUint16(segment[4:], uint16(headers-40+octets))
		binary.BigEndian.PutUint32(segment[tcp+4:], sequence+uint32(at))
		binary.BigEndian.PutUint16(segment[tcp+16:], 0)
		segment[tcp+13] = flags
		if at > 0 {
			segment[tcp+13] &^= tcpCWR
		}
		if at+octets < payload {
			segment[tcp+13] &^= tcpFIN | tcpPSH
		}
		segments = append(segments, segment)
		if size == 0 {
			break
		}
	}
	return segments
}
