package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLargeDatagrams has the kernel send datagrams as one large one (UDP_SEGMENT),
// which it leaves to the device to cut where that can. They arrive one by one.
func TestLargeDatagrams(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		startNode(t, nodeConfig{kind: k})
		host := openHost(t)
		for _, test := range largeDatagrams {
			t.Run(fmt.Sprintf("size=%d", test.size), func(t *testing.T) {
				for _, datagram := range sendLarge(t, host.UDPConn, echoService, test.size, test.count) {
					host.expect(t, datagram)
				}
			})
		}
	})
}

// largeDatagrams are sizes of datagrams, and how many go at once; another one,
// shorter by one, goes behind them if there is anything left of it.
var largeDatagrams = []struct{ size, count int }{{1452, 30}, {1000, 20}, {8, 60}, {1, 20}}

// sendLarge sends count datagrams of size octets each in one call, and a shorter
// one behind them. It returns them.
func sendLarge(t *testing.T, socket *net.UDPConn, to netip.AddrPort, size, count int) [][]byte {
	t.Helper()
	var datagrams [][]byte
	var all []byte
	for i := range count + 1 {
		datagram := numbered(uint32(size<<16|i), max(size, 4))[:size]
		if i == count {
			datagram = datagram[:size-1]
		}
		if len(datagram) > 0 {
			datagrams, all = append(datagrams, datagram), append(all, datagram...)
		}
	}
	setSegmentSize(t, socket, size)
	defer setSegmentSize(t, socket, 0)
	if n, err := socket.WriteToUDPAddrPort(all, to); err != nil || n != len(all) {
		t.Fatalf("send %d octets in datagrams of %d: %d, %v", len(all), size, n, err)
	}
	return datagrams
}

// setSegmentSize has the kernel cut what is sent into datagrams of size octets;
// 0 has it not.
func setSegmentSize(t *testing.T, socket *net.UDPConn, size int) {
	t.Helper()
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size) })
	if err != nil {
		t.Fatal(os.NewSyscallError("setsockopt", err))
	}
}
