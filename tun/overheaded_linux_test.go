package tun_test

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/tun"
)

// An ahead is what the offload header ahead of a packet says: the virtio_net_hdr
// of the Virtual I/O Device specification, section 5.1.6.
type ahead struct {
	flags, kind                  uint8
	headers, size, start, offset uint16
}

const aheadSize = 10

// before returns packet behind the header.
func (a ahead) before(packet []byte) []byte {
	octets := []byte{a.flags, a.kind}
	for _, field := range []uint16{a.headers, a.size, a.start, a.offset} {
		octets = binary.NativeEndian.AppendUint16(octets, field)
	}
	return append(octets, packet...)
}

// aheadOf returns the header of octets, and what is behind it.
func aheadOf(octets []byte) (ahead, []byte) {
	field := func(at int) uint16 { return binary.NativeEndian.Uint16(octets[at:]) }
	return ahead{octets[0], octets[1], field(2), field(4), field(6), field(8)}, octets[aheadSize:]
}

// unsummed returns the header of the draft's packet when its checksum alone is
// left to be finished.
func (d draft) unsummed() ahead {
	return ahead{flags: unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, start: uint16(d.start()), offset: uint16(d.offset())}
}

// uncut returns the header of the draft's packet when it is left to be cut as
// well, into pieces of size octets.
func (d draft) uncut(size int) ahead {
	a := d.unsummed()
	a.headers, a.size = uint16(d.headers()), uint16(size)
	switch {
	case d.offset() == 6:
		a.kind = unix.VIRTIO_NET_HDR_GSO_UDP_L4
	case d.v4:
		a.kind = unix.VIRTIO_NET_HDR_GSO_TCPV4
	default:
		a.kind = unix.VIRTIO_NET_HDR_GSO_TCPV6
	}
	return a
}

// everything is what a device may be granted.
var everything = tun.Features{Checksum: true, TSO4: true, TSO6: true, ECN: true, USO: true}

// overheaded returns a device over sockets on which offload headers stand ahead
// of packets, and the other ends.
func overheaded(t testing.TB, features tun.Features, queues int) (device *tun.Device, far []int) {
	t.Helper()
	near := make([]int, queues)
	far = make([]int, queues)
	for i := range near {
		near[i], far[i] = socketpair(t)
	}
	device, err := tun.Overheaded(65535, features, near...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	return device, far
}

// receive returns the next packet at fd.
func receive(t testing.TB, fd int) []byte {
	t.Helper()
	octets := make([]byte, 70000)
	n, err := unix.Read(fd, octets)
	if err != nil {
		t.Fatal(err)
	}
	return octets[:n]
}
