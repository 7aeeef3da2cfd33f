package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/v6stack/v6stack/internal/wire"
)

// toStack are the headers of packets from the host to the stack.
var toStack = wire.Header{Source: hostAddr, Destination: stackAddr}

// A host is a UDP socket of the kernel's, to which echoes come.
type host struct{ *net.UDPConn }

// openHost opens a socket in the calling thread's network namespace.
func openHost(t *testing.T) host {
	t.Helper()
	return openHostAt(t, netip.AddrPortFrom(hostAddr, 0))
}

// openHostAt does so at another address.
func openHostAt(t *testing.T, address netip.AddrPort) host {
	t.Helper()
	socket, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { growBuffer(int(fd)) })
	return host{socket}
}

func (h host) port() uint16 { return h.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

// datagram returns a UDP datagram from h to the echo service, as fragments
// with size octets of its payload each.
func (h host) datagram(id uint32, payload []byte, size int) [][]byte {
	return toStack.Split(id, wire.UDPProtocol, toStack.UDP(h.port(), echoPort, payload), size)
}

// whole returns a UDP datagram from h to the echo service, in one packet.
func (h host) whole(payload []byte) []byte {
	return toStack.Packet(wire.UDPProtocol, toStack.UDP(h.port(), echoPort, payload))
}

// behind returns a datagram from h to the echo service, as fragments, which go
// the way of those of the datagram id: through the same queue.
func (h host) behind(id uint32, payload []byte) [][]byte {
	return h.datagram(^id, payload, 8)
}

// next returns the next echo.
func (h host) next(deadline time.Time) ([]byte, error) {
	h.SetReadDeadline(deadline)
	buffer := make([]byte, 1<<16)
	n, from, err := h.ReadFromUDPAddrPort(buffer)
	if err != nil {
		return nil, err
	}
	if want := netip.AddrPortFrom(stackAddr, echoPort); from != want {
		return nil, fmt.Errorf("a datagram from %v: want %v", from, want)
	}
	return buffer[:n], nil
}

// expect checks that the next echo is payload.
func (h host) expect(t *testing.T, payload []byte) {
	t.Helper()
	echo, err := h.next(deadline())
	if err != nil {
		t.Fatalf("echo of %d octets: %v", len(payload), err)
	}
	checkSame(t, "echo", echo, payload)
}

// checkSame checks that got is want, and otherwise says where they part.
func checkSame(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if err := same(got, want); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func same(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Errorf("octet %d of %d is %#02x: want %#02x of %d", i, len(got), got[i], want[i], len(want))
		}
	}
	return fmt.Errorf("%d octets: want %d, alike so far", len(got), len(want))
}
