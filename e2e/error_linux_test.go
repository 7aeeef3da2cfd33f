package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/net/ipv6"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// fromStack are the headers of packets from the stack to the host.
var fromStack = wire.Header{Source: stackAddr, Destination: hostAddr}

// An icmpError is an ICMPv6 error as it is on the wire. Of the quote only as
// much is there as fits into 1,280 octets (RFC 4443 section 2.4(c)).
type icmpError struct {
	kind, code uint8
	word       uint32 // pointer, or unused
	quote      []byte
}

// icmpErrors returns the errors among packets, in order.
func icmpErrors(packets [][]byte) ([]icmpError, error) {
	var found []icmpError
	for _, packet := range packets {
		if len(packet) < 48 || packet[6] != wire.ICMPv6 || packet[40] >= 128 {
			continue
		}
		message := packet[40:]
		switch {
		case !bytes.Equal(packet[8:24], stackAddr.AsSlice()) || !bytes.Equal(packet[24:40], hostAddr.AsSlice()):
			return nil, fmt.Errorf("an error from %x to %x", packet[8:24], packet[24:40])
		case fromStack.Checksum(wire.ICMPv6, message) != 0:
			return nil, errors.New("an error with a wrong checksum")
		case len(packet) > 1280:
			return nil, fmt.Errorf("an error of %d octets", len(packet))
		}
		found = append(found, parseError(message))
	}
	return found, nil
}

// parseError returns the error in an ICMPv6 message.
func parseError(message []byte) icmpError {
	return icmpError{message[0], message[1], binary.BigEndian.Uint32(message[4:]), message[8:]}
}

// checkErrors checks that the errors among packets are those wanted.
func checkErrors(t *testing.T, packets [][]byte, want ...icmpError) {
	t.Helper()
	got, err := icmpErrors(packets)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i].quote = want[i].quote[:min(len(want[i].quote), 1280-48)]
		if i < len(got) && !got[i].equal(want[i]) {
			t.Errorf("ICMPv6 error %d: %v\nwant %v", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d ICMPv6 errors, want %d: %v", len(got), len(want), got)
	}
}

func (e icmpError) equal(other icmpError) bool {
	return e.kind == other.kind && e.code == other.code && e.word == other.word && bytes.Equal(e.quote, other.quote)
}

// String returns the error in the notation 4/0@4, and what it quotes.
func (e icmpError) String() string {
	return fmt.Sprintf("%d/%d@%d %x", e.kind, e.code, e.word, e.quote)
}

// marked sends a datagram from a port of its own and returns what comes from
// the stack until its echo does: on a device of one queue, the errors owed for
// what was sent before are among that.
func marked(t *testing.T, w *tap) [][]byte {
	t.Helper()
	const port = 9
	w.send(t, toStack.Packet(wire.UDPProtocol, toStack.UDP(port, echoPort, nil)))
	return w.until(t, "echo of the marker", func(packet []byte) bool {
		return packet[6] == wire.UDPProtocol && binary.BigEndian.Uint16(packet[42:]) == port
	})
}

func isError(kind uint8) func(packet []byte) bool {
	return func(packet []byte) bool {
		return len(packet) > 40 && packet[6] == wire.ICMPv6 && packet[40] == kind
	}
}

// TestParameterProblem sends fragments that no node may take.
func TestParameterProblem(t *testing.T) {
	datagram := toStack.UDP(9, echoPort, wire.Payload(1000))
	for _, test := range []struct {
		name       string
		packet     []byte
		kind, code uint8
		pointer    uint32
	}{
		{"length not a multiple of 8", toStack.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, datagram[:100]), 4, 0, 4},
		{"past the maximum", toStack.Fragment(wire.Fragment{ID: 2, Next: wire.UDPProtocol, Offset: 65528}, datagram[:64]), 4, 0, 42},
		{"headers incomplete", toStack.Fragment(wire.Fragment{ID: 3, Next: wire.TCP, More: true}, datagram[:8]), 4, 3, 0},
		{"hop-by-hop options in a fragment", toStack.Fragment(wire.Fragment{ID: 4, Next: wire.HopByHop, More: true}, wire.Options(8)), 4, 1, 40},
		{"jumbogram", jumbogram(toStack.Fragment(wire.Fragment{ID: 5, Next: wire.UDPProtocol, More: true}, datagram[:64])), 4, 0, 40},
		{"nested fragment", toStack.Fragment(wire.Fragment{ID: 6, Next: wire.FragmentHeader, More: true}, datagram[:64]), 0, 0, 0},
	} {
		for _, silent := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/silent=%v", test.name, silent), func(t *testing.T) {
				eachKind(t, func(t *testing.T, k kind) {
					n := startNode(t, nodeConfig{kind: k, noICMPErrors: silent})
					var want []icmpError
					if !silent && test.kind != 0 {
						want = append(want, icmpError{test.kind, test.code, test.pointer, test.packet})
					}
					checkAnswer(t, openTap(t, n.device), test.packet, want...)
				})
			})
		}
	}
}

// checkAnswer sends a packet and checks that those errors come, and no others.
// The marker may go through another queue than the packet, so it is sent when
// the errors wanted have come.
func checkAnswer(t *testing.T, w *tap, packet []byte, want ...icmpError) {
	t.Helper()
	w.send(t, packet)
	var packets [][]byte
	for _, e := range want {
		packets = append(packets, w.until(t, "an ICMPv6 error", isError(e.kind))...)
	}
	checkErrors(t, append(packets, marked(t, w)...), want...)
}

// jumbogram returns packet with Payload Length 0.
func jumbogram(packet []byte) []byte {
	packet[4], packet[5] = 0, 0
	return packet
}

// TestTimeout leaves two datagrams incomplete. Only the one whose first
// fragment is there is owed an error; the kernel sees it, too.
func TestTimeout(t *testing.T) {
	const timeout = 250 * time.Millisecond
	eachKind(t, func(t *testing.T, k kind) {
		for _, size := range []int{64, 1448} {
			t.Run(fmt.Sprintf("size=%d", size), func(t *testing.T) {
				n := startNode(t, nodeConfig{kind: k, zone: defrag.ZoneConfig{Timeout: timeout}})
				w, socket := openTap(t, n.device), openICMP(t, ipv6.ICMPTypeTimeExceeded)
				datagram := toStack.UDP(9, echoPort, wire.Payload(2*size-8))
				headless := toStack.Split(1, wire.UDPProtocol, datagram, size)
				tailless := toStack.Split(2, wire.UDPProtocol, datagram, size)

				start := time.Now()
				w.send(t, headless[1], tailless[0])
				packets := w.until(t, "Time Exceeded", isError(3))
				if elapsed := time.Since(start); elapsed < timeout {
					t.Errorf("given up after %v: want at least %v", elapsed, timeout)
				}
				n.drops.wait(t, defrag.TimedOut, 2)
				packets = append(packets, marked(t, w)...)
				checkErrors(t, packets, icmpError{3, 1, 0, tailless[0]})
				checkKernelSaw(t, socket, tailless[0])
			})
		}
	})
}

// checkKernelSaw checks that a socket of the kernel's was handed an error that
// quotes packet.
func checkKernelSaw(t *testing.T, socket net.PacketConn, packet []byte) {
	t.Helper()
	socket.SetReadDeadline(deadline())
	buffer := make([]byte, 1<<16)
	n, from, err := socket.ReadFrom(buffer)
	if err != nil {
		t.Fatalf("wait for the error at the sender: %v", err)
	}
	if from.String() != stackAddr.String() || n < 8 {
		t.Fatalf("the sender has %d octets from %v", n, from)
	}
	checkSame(t, "quote at the sender", buffer[8:n], packet[:min(len(packet), 1280-48)])
}

// TestTimeoutSilent leaves a datagram incomplete where no errors are wanted.
func TestTimeoutSilent(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		n := startNode(t, nodeConfig{kind: k, noICMPErrors: true, zone: defrag.ZoneConfig{Timeout: 100 * time.Millisecond}})
		w := openTap(t, n.device)
		w.send(t, toStack.Split(1, wire.UDPProtocol, toStack.UDP(9, echoPort, wire.Payload(100)), 64)[0])
		n.drops.wait(t, defrag.TimedOut, 1)
		checkErrors(t, marked(t, w))
	})
}
