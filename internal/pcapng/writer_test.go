package pcapng_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"go.uber.org/goleak"

	"github.com/v6stack/v6stack/internal/pcapng"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// create returns a writer of two interfaces and its file's path.
func create(t *testing.T) (*pcapng.Writer, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.pcapng")
	w, err := pcapng.Create(path, "wire", "reassembled")
	if err != nil {
		t.Fatal(err)
	}
	return w, path
}

// A packet as it is read back.
type packet struct {
	iface int
	data  string
}

// read returns the packets of a file, and the interfaces.
func read(t *testing.T, path string) (packets []packet, interfaces []pcapgo.NgInterface) {
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
	for {
		data, info, err := reader.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if age := time.Since(info.Timestamp).Abs(); age > time.Hour {
			t.Errorf("packet is %v old", age)
		}
		packets = append(packets, packet{info.InterfaceIndex, string(data)})
	}
	for i := range reader.NInterfaces() {
		iface, err := reader.Interface(i)
		if err != nil {
			t.Fatal(err)
		}
		interfaces = append(interfaces, iface)
	}
	return packets, interfaces
}

func TestWriter(t *testing.T) {
	w, path := create(t)
	want := []packet{{0, "a"}, {1, "bc"}, {0, ""}, {1, strings.Repeat("x", 65575)}, {0, "defgh"}}
	buffer := make([]byte, 1<<17)
	for _, p := range want {
		n := copy(buffer, p.data)
		w.WritePacket(p.iface, pcapng.Inbound, buffer[:n])
		clear(buffer) // WritePacket has copied it
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, interfaces := read(t, path)
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("packet %d: interface %d, %d octets; want %d, %d", i, got[i].iface, len(got[i].data), want[i].iface, len(want[i].data))
		}
	}
	for i, name := range []string{"wire", "reassembled"} {
		if interfaces[i].Name != name || interfaces[i].LinkType != layers.LinkTypeRaw {
			t.Errorf("interface %d is %q of type %v, want %q, raw", i, interfaces[i].Name, interfaces[i].LinkType, name)
		}
	}
}

// A file without packets is a capture all the same.
func TestEmpty(t *testing.T) {
	w, path := create(t)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if packets, interfaces := read(t, path); len(packets) != 0 || len(interfaces) != 2 {
		t.Errorf("%d packets, %d interfaces, want 0 and 2", len(packets), len(interfaces))
	}
}

func TestClosed(t *testing.T) {
	w, path := create(t)
	w.WritePacket(0, pcapng.Inbound, []byte("before"))
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w.WritePacket(0, pcapng.Inbound, []byte("after"))
	if n := w.Dropped(0); n != 1 {
		t.Errorf("%d packets dropped, want 1", n)
	}
	if packets, _ := read(t, path); len(packets) != 1 || packets[0].data != "before" {
		t.Errorf("packets %+v, want the one from before", packets)
	}
}

// Many write while one closes: each packet is in the file or counted.
func TestConcurrent(t *testing.T) {
	w, path := create(t)
	const writers, each = 8, 200
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range each {
				w.WritePacket(i%2, pcapng.Outbound, bytes.Repeat([]byte{byte(i)}, 100))
			}
		})
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	packets, _ := read(t, path)
	if total := uint64(len(packets)) + w.Dropped(0) + w.Dropped(1); total != writers*each {
		t.Errorf("%d packets written or dropped, want %d", total, writers*each)
	}
}

func TestCreateError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent", "x.pcapng")
	if _, err := pcapng.Create(path, "wire"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names %s", err, path)
	}
}

// What others read is what was written.
func TestTshark(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("missing: tshark")
		}
		t.Skip("missing: tshark")
	}
	w, path := create(t)
	w.WritePacket(0, pcapng.Outbound, []byte("\x60\x00\x00\x00\x00\x00\x3b\x40\xfd\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xfd\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("tshark", "-r", path, "-T", "fields", "-e", "frame.interface_name", "-e", "frame.packet_flags_direction", "-e", "ipv6.dst").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "wire\t2\tfd00:6::2") && !strings.Contains(string(out), "wire\t0x00000002\tfd00:6::2") {
		t.Errorf("tshark: %v, %q", err, out)
	}
}
