package tun

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// virtioSize is the length, in octets, of the header that says what was left
// undone in a packet: the virtio_net_hdr of the Virtual I/O Device
// specification, section 5.1.6, without the count of buffers.
const virtioSize = 10

// A virtioHeader stands ahead of each packet on a descriptor with
// IFF_VNET_HDR. Its numbers have the byte order of the machine. All zero says
// that nothing was left undone.
//
//	octet  0      1     2        4     6       8
//	       flags  type  headers  size  start   offset
//
// headers is the length of all headers, size that of a segment's payload; start
// is where the transport header begins, offset that of the checksum in it.
type virtioHeader [virtioSize]byte

func (h *virtioHeader) flags() uint8   { return h[0] }
func (h *virtioHeader) gsoType() uint8 { return h[1] &^ unix.VIRTIO_NET_HDR_GSO_ECN }
func (h *virtioHeader) size() uint16   { return binary.NativeEndian.Uint16(h[4:]) }
func (h *virtioHeader) start() uint16  { return binary.NativeEndian.Uint16(h[6:]) }
func (h *virtioHeader) offset() uint16 { return binary.NativeEndian.Uint16(h[8:]) }

// needsChecksum reports whether the checksum field holds only the
// pseudo-header's sum.
func (h *virtioHeader) needsChecksum() bool { return h.flags()&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 }

// isValid reports whether the system vouches for the checksums.
func (h *virtioHeader) isValid() bool { return h.flags()&unix.VIRTIO_NET_HDR_F_DATA_VALID != 0 }

// leave says that the checksum is left to be finished.
func (h *virtioHeader) leaveChecksum(start, offset int) {
	h[0] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM
	binary.NativeEndian.PutUint16(h[6:], uint16(start))
	binary.NativeEndian.PutUint16(h[8:], uint16(offset))
}

// leaveSegments says that the packet, of which headers octets are headers, is
// left to be cut. congestion says that it has the flag CWR, which belongs to
// its first segment only.
func (h *virtioHeader) leaveSegments(kind gstack.GSOType, headers, size int, congestion bool) {
	h[1] = unix.VIRTIO_NET_HDR_GSO_TCPV6
	if kind == gstack.GSOTCPv4 {
		h[1] = unix.VIRTIO_NET_HDR_GSO_TCPV4
	}
	if congestion {
		h[1] |= unix.VIRTIO_NET_HDR_GSO_ECN
	}
	binary.NativeEndian.PutUint16(h[2:], uint16(headers))
	binary.NativeEndian.PutUint16(h[4:], uint16(size))
}

// udpChecksumOffset is where the checksum stands in a UDP header.
const udpChecksumOffset = 6

// isTCP reports whether it is a TCP checksum that is left to be finished: no
// other protocol has it there.
func (h *virtioHeader) isTCP() bool { return h.offset() == header.TCPChecksumOffset }
