package e2e

import (
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A tap is the wire itself: it puts packets into a TUN as they are, past the
// kernel's IPv6, and sees all that comes out of it.
type tap struct{ socket *os.File }

// queue is how many packets may wait in a TUN with a tap until they are read.
// Nothing holds a sender up: those that come to a full queue are lost.
const queue = 1 << 15

// openTap opens a tap on a device of the calling thread's network namespace.
func openTap(t *testing.T, device string) *tap {
	t.Helper()
	const protocol = unix.ETH_P_IPV6>>8 | unix.ETH_P_IPV6&0xff<<8 // network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	socket := os.NewFile(uintptr(fd), "tap of "+device)
	t.Cleanup(func() { socket.Close() })
	growBuffer(fd)
	link, err := netlink.LinkByName(device)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetTxQLen(link, queue); err != nil {
		t.Fatalf("lengthen the queue of %s: %v", device, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: link.Attrs().Index}); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	return &tap{socket}
}

// growBuffer gives a socket room for whatever may come while its reader has to
// wait. Without the privilege to go beyond the system's maximum that stays.
func growBuffer(fd int) {
	const room = 16 << 20
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room)
	}
}

// send puts packets on the wire, one after the other.
func (w *tap) send(t *testing.T, packets ...[]byte) {
	t.Helper()
	for _, packet := range packets {
		if _, err := w.socket.Write(packet); err != nil {
			t.Fatalf("send a packet of %d octets: %v", len(packet), err)
		}
	}
}

// until returns the packets that come from the stack, up to the first that
// last says is the one.
func (w *tap) until(t *testing.T, what string, last func(packet []byte) bool) [][]byte {
	t.Helper()
	w.socket.SetReadDeadline(deadline())
	var packets [][]byte
	buffer := make([]byte, 1<<16)
	for {
		n, err := w.socket.Read(buffer)
		if err != nil {
			t.Fatalf("wait for %s: %v, after %d other packets", what, err, len(packets))
		}
		packet := append([]byte(nil), buffer[:n]...)
		packets = append(packets, packet)
		if last(packet) {
			return packets
		}
	}
}
