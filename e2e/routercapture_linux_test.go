package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/wire"
)

// A capture listens at a TUN to what passes it, both ways. The kernel puts a
// packet there before anybody else sees it: whoever has received an answer will
// find all that led to it. The packets are in memory shared with the kernel, of
// which anybody may have as much as it takes.
//
// It shows packets as they are on a wire: checksums finished and large segments
// cut, see [offloadHeader.onWire].
type capture struct {
	fd             int
	ring           []byte
	frame          int      // octets a packet has, with its header
	next           int      // frame
	sent, received [][]byte // by the host; collected so far
	// largeSent and largeReceived count the large segments.
	largeSent, largeReceived int
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
	for c.frame = 2048; c.frame < mtu+128+offloadHeaderSize; {
		c.frame *= 2
	}
	request := &unix.TpacketReq{
		Block_size: captureBlock,
		Block_nr:   uint32(captureFrames * c.frame / captureBlock),
		Frame_size: uint32(c.frame),
		Frame_nr:   captureFrames,
	}
	err := errors.Join(
		unix.SetsockoptInt(c.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2),
		unix.SetsockoptInt(c.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
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
	return c.forget()
}

// forget returns what was collected since the last time.
func (c *capture) forget() (sent, received [][]byte) {
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
//	 4  length of the packet    8  how much of it is here
//	12  where it begins, with an offload header ahead of it
//	32  sockaddr_ll, in it at
//	42  which way the packet goes
func (c *capture) take() bool {
	frame := c.ring[c.next*c.frame:][:c.frame]
	if binary.NativeEndian.Uint32(frame)&unix.TP_STATUS_USER == 0 {
		return false
	}
	length, here := int(binary.NativeEndian.Uint32(frame[4:])), binary.NativeEndian.Uint32(frame[8:])
	begin := binary.NativeEndian.Uint16(frame[12:])
	h := offloadHeader(frame[begin-offloadHeaderSize : begin])
	packets, large := h.onWire(bytes.Clone(frame[begin:][:here]), length)
	if frame[42] == unix.PACKET_OUTGOING {
		c.sent = append(c.sent, packets...)
		c.largeSent += large
	} else {
		c.received = append(c.received, packets...)
		c.largeReceived += large
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
// passed each way. Packets may still be on their way: it waits for them.
func checkPassed(t *testing.T, a, b *station, fragments int) {
	t.Helper()
	for end := deadline(); !allPassed(t, a, b) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	sentA, receivedA := a.wire.forget()
	sentB, receivedB := b.wire.forget()
	checkPassedFrom(t, a, b, sentA, receivedB, fragments)
	checkPassedFrom(t, b, a, sentB, receivedA, fragments)
}

// allPassed reports whether each of two stations has received as much as the
// other has sent. What it looks at is no moment, but nothing that it has counted
// as sent is missing then.
func allPassed(t *testing.T, a, b *station) bool {
	t.Helper()
	a.wire.collect(t)
	b.wire.collect(t)
	a.wire.collect(t)
	return len(between(a.wire.sent, a.addr(), b.addr())) == len(between(b.wire.received, a.addr(), b.addr())) &&
		len(between(b.wire.sent, b.addr(), a.addr())) == len(between(a.wire.received, b.addr(), a.addr()))
}

func checkPassedFrom(t *testing.T, from, to *station, sent, received [][]byte, fragments int) {
	t.Helper()
	sent, received = between(sent, from.addr(), to.addr()), between(received, from.addr(), to.addr())
	if got := countOf(received, wire.FragmentHeader); got < fragments {
		t.Errorf("%d fragments passed from %v to %v: want at least %d", got, from.addr(), to.addr(), fragments)
	}
	checkSamePackets(t, from, to, sent, received)
}

// checkSamePackets checks that received is what sent was, one hop further. Each
// flow keeps its order, but for that of TCP from a device of several queues: until
// the kernel has learned by which of them a flow is answered, it sends by another.
func checkSamePackets(t *testing.T, from, to *station, sent, received [][]byte) {
	t.Helper()
	sentFlows, receivedFlows := byFlow(sent), byFlow(received)
	for flow := range receivedFlows {
		if _, ok := sentFlows[flow]; !ok {
			t.Errorf("a packet from %v to %v that was not sent: %s", from.addr(), to.addr(), describe(receivedFlows[flow][0]))
		}
	}
	for flow, packets := range sentFlows {
		if flow[0] == wire.TCP && from.kind.features.Queues != 1 {
			slices.SortFunc(packets, bytes.Compare)
			slices.SortFunc(receivedFlows[flow], bytes.Compare)
		}
		checkSameFlow(t, from, to, packets, receivedFlows[flow])
	}
}

// byFlow returns the packets of each flow in their order: those of the same
// protocol and ports.
func byFlow(packets [][]byte) map[[5]byte][][]byte {
	flows := make(map[[5]byte][][]byte)
	for _, packet := range packets {
		flow := [5]byte{packet[6]}
		if packet[6] == wire.TCP || packet[6] == wire.UDPProtocol {
			copy(flow[1:], packet[40:44])
		}
		flows[flow] = append(flows[flow], packet)
	}
	return flows
}

func checkSameFlow(t *testing.T, from, to *station, sent, received [][]byte) {
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
	if packet[6] == wire.TCP && len(packet) >= 60 {
		return fmt.Sprintf("%d octets of TCP %d, flags %#x", 40+int(binary.BigEndian.Uint16(packet[4:]))-len(packet),
			binary.BigEndian.Uint32(packet[44:]), packet[53])
	}
	if packet[6] != wire.FragmentHeader || len(packet) < 48 {
		return fmt.Sprintf("%d octets of protocol %d", len(packet), packet[6])
	}
	word := binary.BigEndian.Uint16(packet[42:])
	return fmt.Sprintf("%d octets, fragment of %d: next header %d, reserved %#x and %d, offset %d, M %d", len(packet),
		binary.BigEndian.Uint32(packet[44:]), packet[40], packet[41], word>>1&3, word&^7, word&1)
}
