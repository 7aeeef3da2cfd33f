package e2e

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/v6stack/v6stack/internal/wire"
)

// corrupted returns a packet with one bit changed, from its end.
func corrupted(packet []byte, fromEnd int) []byte {
	changed := append([]byte(nil), packet...)
	changed[len(packet)-1-fromEnd] ^= 0x10
	return changed
}

// TestCorrupted sends packets that were damaged on the way, past the kernel,
// each with a sound one of the same flow behind it. Only that is answered.
func TestCorrupted(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		n := startNode(t, nodeConfig{kind: k})
		w, host := openTap(t, n.device), openHost(t)
		t.Run("UDP", func(t *testing.T) {
			for size := 4; size < 1400; size += 93 {
				w.send(t, corrupted(host.whole(numbered(0, size)), size%4), host.whole(numbered(1, size)))
				host.expect(t, numbered(1, size))
			}
		})
		t.Run("UDP without a checksum", func(t *testing.T) {
			packet := host.whole([]byte("none"))
			packet[46], packet[47] = 0, 0
			w.send(t, packet, host.whole([]byte("some")))
			host.expect(t, []byte("some"))
		})
		t.Run("fragments", func(t *testing.T) {
			for i, size := range []int{100, 1400, 5000, 65000} {
				fragments := host.datagram(uint32(2*i), numbered(0, size), 1448&^7)
				fragments[len(fragments)-1] = corrupted(fragments[len(fragments)-1], 1)
				w.send(t, fragments...)
				w.send(t, host.datagram(uint32(2*i+1), numbered(1, size), 1448&^7)...)
				host.expect(t, numbered(1, size))
			}
		})
		t.Run("ICMPv6", func(t *testing.T) { corruptEcho(t, w) })
		t.Run("TCP", func(t *testing.T) { corruptSYN(t, w) })
		t.Run("IPv4", func(t *testing.T) { corruptIPv4(t, n, w) })
	})
}

// corruptEcho is about echo requests, whole and in fragments.
func corruptEcho(t *testing.T, w *tap) {
	t.Helper()
	for sequence := uint16(0); sequence < 8; sequence += 2 {
		bad, good := toStack.Echo(7, sequence, wire.Payload(300)), toStack.Echo(7, sequence+1, wire.Payload(300))
		packets := [][]byte{corrupted(toStack.Packet(wire.ICMPv6, bad), 2), toStack.Packet(wire.ICMPv6, good)}
		if sequence >= 4 {
			packets = toStack.Split(uint32(100+sequence), wire.ICMPv6, bad, 160)
			packets[0] = corrupted(packets[0], 2)
			packets = append(packets, toStack.Split(uint32(101+sequence), wire.ICMPv6, good, 160)...)
		}
		w.send(t, packets...)
		received := w.until(t, "an echo reply", isEchoReply)
		if got := binary.BigEndian.Uint16(received[len(received)-1][46:]); got != sequence+1 {
			t.Errorf("reply to echo request %d: want that to %d alone", got, sequence+1)
		}
	}
}

func isEchoReply(packet []byte) bool {
	return len(packet) >= 48 && packet[6] == wire.ICMPv6 && packet[40] == 129
}

// corruptSYN is about the first segment of a connection. The host's kernel does
// not know of it.
func corruptSYN(t *testing.T, w *tap) {
	t.Helper()
	for i := range 4 {
		port, bad, good := uint16(40000+i), uint32(1000), uint32(900000)
		w.send(t, corrupted(syn(port, bad), i), syn(port, good))
		received := w.until(t, "an answer to the SYN", func(packet []byte) bool {
			return packet[6] == wire.TCP && binary.BigEndian.Uint16(packet[42:]) == port
		})
		packet := received[len(received)-1]
		if got := binary.BigEndian.Uint32(packet[48:]); got != good+1 || packet[53] != 0x12 {
			t.Errorf("flags %#x acknowledge %d: want SYN-ACK of %d", packet[53], got, good+1)
		}
	}
}

// syn returns a segment that opens a connection to the echo service.
func syn(port uint16, sequence uint32) []byte {
	segment := make([]byte, 24)
	binary.BigEndian.PutUint16(segment, port)
	binary.BigEndian.PutUint16(segment[2:], echoPort)
	binary.BigEndian.PutUint32(segment[4:], sequence)
	segment[12], segment[13] = 6<<4, 0x02
	binary.BigEndian.PutUint16(segment[14:], 65535)
	copy(segment[20:], []byte{2, 4, 0x05, 0xa0}) // MSS 1,440
	binary.BigEndian.PutUint16(segment[16:], toStack.Checksum(wire.TCP, segment))
	return toStack.Packet(wire.TCP, segment)
}

// corruptIPv4 is about UDP over IPv4, where a checksum of 0 is none.
func corruptIPv4(t *testing.T, n *node, w *tap) {
	t.Helper()
	service := netip.AddrPortFrom(stackPrefix4.Addr(), 5002)
	socket, err := n.stack.ListenPacket("udp4", service.String())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	socket.SetReadDeadline(deadline())
	header := corrupted(ipv4Datagram(service.Port(), []byte("header"), true), 7)
	header[8]++ // hop limit
	w.send(t, corrupted(ipv4Datagram(service.Port(), []byte("payload"), true), 1), header)
	for _, sum := range []bool{false, true} {
		want := []byte("sound")
		w.send(t, ipv4Datagram(service.Port(), want, sum))
		buffer := make([]byte, 1<<16)
		got, _, err := socket.ReadFrom(buffer)
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, "datagram", buffer[:got], want)
	}
}

// ipv4Datagram returns a UDP datagram to a port of the stack, with a checksum or
// without.
func ipv4Datagram(port uint16, payload []byte, sum bool) []byte {
	const headers = 28
	packet := append(make([]byte, headers), payload...)
	source, destination := hostPrefix4.Addr().As4(), stackPrefix4.Addr().As4()
	packet[0], packet[8], packet[9] = 0x45, 64, wire.UDPProtocol
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
	copy(packet[12:], source[:])
	copy(packet[16:], destination[:])
	finishChecksum(packet[:20], 0, 10)
	binary.BigEndian.PutUint16(packet[20:], 5003)
	binary.BigEndian.PutUint16(packet[22:], port)
	binary.BigEndian.PutUint16(packet[24:], uint16(8+len(payload)))
	if sum {
		pseudo := append(append([]byte{0, wire.UDPProtocol}, packet[24:26]...), packet[12:20]...)
		binary.BigEndian.PutUint16(packet[26:], onesSum(pseudo))
		finishChecksum(packet, 20, 26)
	}
	return packet
}
