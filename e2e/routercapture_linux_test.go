package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/wire"
)

// A capture listens at a TUN to what passes it, both ways. The kernel puts a
// packet there before anybody else sees it: whoever has received an answer will
// find all that led to it. The packets are in memory shared with the kernel, of
// which anybody may have as much as it takes.
type capture struct {
	fd             int
	ring           []byte
	frame          int      // octets a packet has, with its header
	next           int      // frame
	sent, received [][]byte // by the host; collected so far
}

// A ring has that many frames, in blocks.
const (
	captureFrames = 4096
	captureBlock  = 1 << 18
)

// openCapture opens a capture on a device of the calling thread's network
// namespace.
func openCapture(t *testing.T, device string, mtu int) *capture {
	t.Helper()
	const protocol = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8 // network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { unix.Close(fd) })
	link, err := netlink.LinkByName(device)
	if err != nil {
		t.Fatal(err)
	}
	c := &capture{fd: fd}
	c.mapRing(t, mtu)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: link.Attrs().Index}); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	return c
}

// mapRing makes the memory that the kernel puts packets into.
func (c *capture) mapRing(t *testing.T, mtu int) {
	t.Helper()
	// A frame divides a block, and has room for its header.
	for c.frame = 2048; c.frame < mtu+128; {
		c.frame *= 2
	}
	request := &unix.TpacketReq{
		Block_size: captureBlock,
		Block_nr:   uint32(captureFrames * c.frame / captureBlock),
		Frame_size: uint32(c.frame),
		Frame_nr:   captureFrames,
	}
	err := unix.SetsockoptInt(c.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2)
	if err == nil {
		err = unix.SetsockoptTpacketReq(c.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, request)
	}
	if err != nil {
		t.Fatalf("ask for a ring of packets: %v", err)
	}
	c.ring, err = unix.Mmap(c.fd, 0, captureFrames*c.frame, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(os.NewSyscallError("mmap", err))
	}
	t.Cleanup(func() { unix.Munmap(c.ring) })
}

// drain returns what the host has sent and received since the last time.
func (c *capture) drain(t *testing.T) (sent, received [][]byte) {
	t.Helper()
	c.collect(t)
	sent, received = c.sent, c.received
	c.sent, c.received = nil, nil
	return sent, received
}

// collect makes room in the ring.
func (c *capture) collect(t *testing.T) {
	t.Helper()
	for c.take() {
	}
	stats, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		t.Fatal(os.NewSyscallError("getsockopt", err))
	}
	if stats.Drops > 0 {
		t.Fatalf("the capture has missed %d packets", stats.Drops)
	}
}

// take takes the next packet out of the ring and reports whether there is one.
//
//	octet of a frame
//	 0  status, which tells whose the frame is
//	 8  length of the packet    12  where it begins
//	32  sockaddr_ll, in it at
//	42  which way the packet goes
func (c *capture) take() bool {
	frame := c.ring[c.next*c.frame:][:c.frame]
	if binary.NativeEndian.Uint32(frame)&unix.TP_STATUS_USER == 0 {
		return false
	}
	length, begin := binary.NativeEndian.Uint32(frame[8:]), binary.NativeEndian.Uint16(frame[12:])
	packet := bytes.Clone(frame[begin:][:length])
	if frame[42] == unix.PACKET_OUTGOING {
		c.sent = append(c.sent, packet)
	} else {
		c.received = append(c.received, packet)
	}
	binary.NativeEndian.PutUint32(frame, unix.TP_STATUS_KERNEL)
	c.next = (c.next + 1) % captureFrames
	return true
}

// between returns the packets from one address to another.
func between(packets [][]byte, from, to netip.Addr) [][]byte {
	var found [][]byte
	for _, packet := range packets {
		if len(packet) >= 40 && sourceOf(packet) == from && destinationOf(packet) == to {
			found = append(found, packet)
		}
	}
	return found
}

func sourceOf(packet []byte) netip.Addr      { return netip.AddrFrom16([16]byte(packet[8:24])) }
func destinationOf(packet []byte) netip.Addr { return netip.AddrFrom16([16]byte(packet[24:40])) }

// countOf returns how many of the packets have that next header.
func countOf(packets [][]byte, next uint8) int {
	count := 0
	for _, packet := range packets {
		if packet[6] == next {
			count++
		}
	}
	return count
}

// checkPassed compares what two stations sent each other with what they
// received, since the last time: packet by packet, fragment by fragment, all
// must be the same but for the hop limit. At least so many fragments must have
// passed each way.
func checkPassed(t *testing.T, a, b *station, fragments int) {
	t.Helper()
	sentA, receivedA := a.wire.drain(t)
	sentB, receivedB := b.wire.drain(t)
	checkPassedFrom(t, a, b, sentA, receivedB, fragments)
	checkPassedFrom(t, b, a, sentB, receivedA, fragments)
}

func checkPassedFrom(t *testing.T, from, to *station, sent, received [][]byte, fragments int) {
	t.Helper()
	sent, received = between(sent, from.addr(), to.addr()), between(received, from.addr(), to.addr())
	if got := countOf(received, wire.FragmentHeader); got < fragments {
		t.Errorf("%d fragments passed from %v to %v: want at least %d", got, from.addr(), to.addr(), fragments)
	}
	checkSamePackets(t, from, to, sent, received)
}

// checkPassedUntil does as checkPassed, with packets still on their way: it
// looks at what came before a datagram and its echo. Links keep the order.
func checkPassedUntil(t *testing.T, a, b *station, service netip.AddrPort) {
	t.Helper()
	marker := []byte("marker of " + t.Name())
	if err := exchange(a.dial(t, service), marker); err != nil {
		t.Fatal(err)
	}
	sentA, receivedA := a.wire.drain(t)
	sentB, receivedB := b.wire.drain(t)
	for _, packets := range []*[][]byte{&sentA, &receivedA, &sentB, &receivedB} {
		at := slices.IndexFunc(*packets, func(packet []byte) bool { return bytes.HasSuffix(packet, marker) })
		if at < 0 {
			t.Fatal("no marker captured")
		}
		*packets = (*packets)[:at+1]
	}
	checkPassedFrom(t, a, b, sentA, receivedB, 0)
	checkPassedFrom(t, b, a, sentB, receivedA, 0)
}

// checkSamePackets checks that received is what sent was, one hop further.
func checkSamePackets(t *testing.T, from, to *station, sent, received [][]byte) {
	t.Helper()
	for i := range min(len(sent), len(received)) {
		want := bytes.Clone(sent[i])
		want[7]--
		if err := same(received[i], want); err != nil {
			t.Errorf("packet %d of %d from %v to %v: %v\nsent     %s\nreceived %s",
				i, len(sent), from.addr(), to.addr(), err, describe(sent[i]), describe(received[i]))
			return
		}
	}
	if len(sent) != len(received) {
		t.Errorf("%d packets from %v to %v, of which %d were received", len(sent), from.addr(), to.addr(), len(received))
	}
}

// describe returns the length of a packet and its Fragment header.
func describe(packet []byte) string {
	if packet[6] != wire.FragmentHeader || len(packet) < 48 {
		return fmt.Sprintf("%d octets of protocol %d", len(packet), packet[6])
	}
	word := binary.BigEndian.Uint16(packet[42:])
	return fmt.Sprintf("%d octets, fragment of %d: next header %d, reserved %#x and %d, offset %d, M %d", len(packet),
		binary.BigEndian.Uint32(packet[44:]), packet[40], packet[41], word>>1&3, word&^7, word&1)
}
