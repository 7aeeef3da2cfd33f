package capture_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/v6stack/v6stack/internal/capture"
	"github.com/v6stack/v6stack/internal/wire"
)

// exchange returns what a fragmented ping exchange of count rounds looks like
// on the wire, with other packets between: IN and OUT.
func exchange(count int) (in, out [][]byte) {
	back := wire.Header{Source: hosts.Destination, Destination: hosts.Source}
	for i := range count {
		request := hosts.Echo(7, uint16(i), wire.Payload(8000))
		reply := bytes.Clone(request)
		reply[0] = 129
		reply = back.ICMP(129, 0, reply[4:])
		other := hosts.Packet(wire.UDPProtocol, hosts.UDP(4000, 4001, fmt.Appendf(nil, "round %d", i)))
		requests := hosts.Split(uint32(i), wire.ICMPv6, request, 1448)
		replies := back.Split(uint32(1000+i), wire.ICMPv6, reply, 1448)
		in = append(in, requests[:3]...)
		in = append(in, other)
		in = append(in, requests[3:]...)
		in = append(in, replies...)
		out = append(out, other, hosts.Packet(wire.ICMPv6, request), back.Packet(wire.ICMPv6, reply))
	}
	return in, out
}

// captures returns the exchange in captures of several kinds, each with the
// packets that OUT is to hold.
func captures(count int) map[string]struct{ in, packets [][]byte } {
	packets, wholes := exchange(count)
	all := map[string]struct{ in, packets [][]byte }{}
	for _, i := range []int{0, 4, 6, 8, 10, 12, 14} {
		frame := frames[i]
		file := newPcapFile(frame.linkType)
		file.snap = 65535
		ng := ngFile{bothOrders[i/2%2]}
		files := [2][][]byte{{file.header()}, {ng.section(), ng.iface(frame.linkType, 65535)}}
		for n, p := range packets {
			at := packetAt{fraction: uint32(n), data: join(frame.header, p)}
			files[0] = append(files[0], file.packet(at))
			files[1] = append(files[1], ng.enhanced(0, at))
		}
		var framed [][]byte
		for _, p := range wholes {
			framed = append(framed, join(frame.header, p))
		}
		all[frame.name+".pcap"] = struct{ in, packets [][]byte }{files[0], framed}
		all[frame.name+".pcapng"] = struct{ in, packets [][]byte }{files[1], framed}
	}
	return all
}

// TestReadByGopacket reads OUT with another library.
func TestReadByGopacket(t *testing.T) {
	for name, c := range captures(3) {
		t.Run(name, func(t *testing.T) {
			r := defragment(t, join(c.in...), capture.Options{})
			var source gopacket.PacketDataSource
			var err error
			if strings.HasSuffix(name, "ng") {
				source, err = pcapgo.NewNgReader(bytes.NewReader(r.out), pcapgo.DefaultNgReaderOptions)
			} else {
				source, err = pcapgo.NewReader(bytes.NewReader(r.out))
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.packets {
				data, info, err := source.ReadPacketData()
				if err != nil {
					t.Fatal(err)
				}
				mustEqual(t, data, want)
				if info.Length != len(want) {
					t.Errorf("length %d, want %d", info.Length, len(want))
				}
			}
			if _, _, err := source.ReadPacketData(); err != io.EOF {
				t.Errorf("behind the last packet: %v", err)
			}
		})
	}
}

// TestReadByTshark reads OUT with Wireshark's own dissectors: whole echo
// requests and replies with good checksums, and no fragments.
func TestReadByTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("tshark is not installed, and CI is to have it")
		}
		t.Skip("tshark is not installed")
	}
	const rounds = 3
	for name, c := range captures(rounds) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out")
			r := defragment(t, join(c.in...), capture.Options{})
			if err := os.WriteFile(path, r.out, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), tshark, "-n", "-r", path,
				"-o", "ipv6.defragment:FALSE", "-o", "udp.check_checksum:TRUE", "-T", "fields", "-E", "separator=,",
				"-e", "ipv6.plen", "-e", "ipv6.fraghdr.ident", "-e", "udp.checksum.status",
				"-e", "icmpv6.type", "-e", "icmpv6.echo.sequence_number", "-e", "icmpv6.checksum.status")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.Output()
			if err != nil {
				t.Fatalf("tshark: %v\n%s", err, stderr.Bytes())
			}
			var want strings.Builder
			for i := range rounds {
				fmt.Fprintf(&want, "15,,1,,,\n8008,,,128,%d,1\n8008,,,129,%d,1\n", i, i)
			}
			// Newer versions print the name of a status.
			if got := strings.ReplaceAll(string(stdout), "Good", "1"); got != want.String() {
				t.Errorf("tshark reads\n%s\nwant\n%s", got, want.String())
			}
		})
	}
}
