package e2e

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/v6stack/v6stack/internal/wire"
)

// TestRunPcap reads back what the program writes down: on the first interface
// the link as it is, on the second what is left after reassembly.
func TestRunPcap(t *testing.T) {
	const device, size = "v6s5", 8000
	path := filepath.Join(t.TempDir(), "run.pcapng")
	program := startRun(t, runFlags(device, "--pcap", path)...)
	w, host := openTap(t, device), openHost(t)
	sent := host.datagram(1, wire.Payload(size), 1448)
	w.send(t, sent...)
	host.expect(t, wire.Payload(size))
	program.stop(t, syscall.SIGTERM)

	before, after := readCapture(t, path)
	for _, packet := range sent {
		if !contains(before, packet) {
			t.Errorf("no fragment of %d octets on the first interface", len(packet))
		}
		if contains(after, packet) {
			t.Errorf("a fragment of %d octets on the second interface", len(packet))
		}
	}
	whole := host.whole(wire.Payload(size))
	if contains(before, whole) || !contains(after, whole) {
		t.Error("the datagram is not on the second interface alone")
	}
}

// readCapture returns the packets of a capture's first and second interface.
func readCapture(t *testing.T, path string) (first, second [][]byte) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := pcapgo.NewNgReader(file, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	var packets [2][][]byte
	for {
		packet, info, err := reader.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.InterfaceIndex > 1 || info.CaptureLength != info.Length {
			t.Fatalf("a packet of interface %d, %d of %d octets", info.InterfaceIndex, info.CaptureLength, info.Length)
		}
		packets[info.InterfaceIndex] = append(packets[info.InterfaceIndex], packet)
	}
	if n := reader.NInterfaces(); n != 2 {
		t.Errorf("%d interfaces: want 2", n)
	}
	return packets[0], packets[1]
}

func contains(packets [][]byte, packet []byte) bool {
	for _, p := range packets {
		if same(p, packet) == nil {
			return true
		}
	}
	return false
}
