package capture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"

	"github.com/v6stack/v6stack/internal/capture"
	"github.com/v6stack/v6stack/internal/wire"
)

var hosts = wire.Header{Source: netip.MustParseAddr("2001:db8::1"), Destination: netip.MustParseAddr("2001:db8::2")}

// echo returns an echo request whole, and split at size octets.
func echo(h wire.Header, id uint32, length, size int) (whole []byte, fragments [][]byte) {
	message := h.Echo(7, uint16(id), wire.Payload(length))
	return h.Packet(wire.ICMPv6, message), h.Split(id, wire.ICMPv6, message, size)
}

// frames are the link headers that a packet may stand behind.
var frames = []struct {
	name     string
	linkType capture.LinkType
	header   []byte
}{
	{"raw", 101, nil},
	{"raw as 12", 12, nil},
	{"raw as 14", 14, nil},
	{"IPv6", 229, nil},
	{"Ethernet", 1, []byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x86\xdd")},
	{"VLAN", 1, []byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x81\x00\x20\x05\x86\xdd")},
	{"two VLAN tags", 1, []byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x88\xa8\x00\x05\x81\x00\x00\x06\x86\xdd")},
	{"four VLAN tags", 1, []byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x88\xa8\x00\x05\x91\x00\x00\x06\x92\x00\x00\x07\x81\x00\x00\x08\x86\xdd")},
	{"SLL", 113, []byte("\x00\x00\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00\x86\xdd")},
	{"SLL, VLAN", 113, []byte("\x00\x00\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00\x81\x00\x00\x05\x86\xdd")},
	{"SLL2", 276, []byte("\x86\xdd\x00\x00\x00\x00\x00\x02\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00")},
	{"SLL2, VLAN", 276, []byte("\x81\x00\x00\x00\x00\x00\x00\x02\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00\x00\x05\x86\xdd")},
	{"null, macOS", 0, []byte("\x1e\x00\x00\x00")},
	{"null, other order", 0, []byte("\x00\x00\x00\x1c")},
	{"loop", 108, []byte("\x00\x00\x00\x18")},
}

// TestLinkTypes reassembles behind every link header, in every kind of pcap.
func TestLinkTypes(t *testing.T) {
	whole, fragments := echo(hosts, 1, 3000, 1448)
	for _, frame := range frames {
		for _, order := range bothOrders {
			for _, magic := range []uint32{0xa1b2c3d4, 0xa1b23c4d} {
				t.Run(frame.name, func(t *testing.T) {
					f := pcapFile{order, magic, 262144, uint32(frame.linkType)}
					at := func(second uint32, data []byte) []byte {
						return f.packet(packetAt{seconds: second, fraction: 123456, data: join(frame.header, data)})
					}
					other := hosts.Packet(wire.UDPProtocol, hosts.UDP(1, 2, []byte("between")))
					in := join(f.header(), at(1, fragments[0]), at(2, other), at(3, fragments[2]), at(4, fragments[1]), at(5, other))
					want := join(f.header(), at(2, other), at(4, whole), at(5, other))
					r := defragment(t, in, capture.Options{})
					r.mustBe(t, want)
					if r.counts.Datagrams != 1 || r.counts.Joined != 3 || len(r.losses) != 0 {
						t.Errorf("counts %+v, losses %v", r.counts, r.losses)
					}
				})
			}
		}
	}
}

// TestUntouched copies what is no fragment as it is.
func TestUntouched(t *testing.T) {
	ethernet := frames[4].header
	_, fragments := echo(hosts, 1, 3000, 1448)
	udp := hosts.Packet(wire.UDPProtocol, hosts.UDP(1, 2, wire.Payload(100)))
	ipv4Fragment := append([]byte{0x45, 0, 0, 28, 0, 1, 0x20, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, make([]byte, 8)...)
	for name, p := range map[string]packetAt{
		"empty":                     {},
		"one octet":                 {data: []byte{1}},
		"ARP":                       {data: append(append([]byte{}, ethernet[:12]...), "\x08\x06\x00\x01"...)},
		"IPv4 fragment":             {data: join(ethernet[:12], []byte{8, 0}, ipv4Fragment)},
		"whole":                     {data: join(ethernet, udp)},
		"whole, padded":             {data: join(ethernet, udp, make([]byte, 9))},
		"cut by the snap length":    {data: join(ethernet, udp[:50]), original: 162},
		"cut in the IPv6 header":    {data: join(ethernet, udp[:20]), original: 162},
		"cut in the link header":    {data: ethernet[:9], original: 162},
		"EtherType IPv6, version 4": {data: join(ethernet, ipv4Fragment)},
		"tag without EtherType":     {data: join(ethernet[:12], []byte{0x81, 0, 0})},
		"five tags":                 {data: join(ethernet[:12], bytes.Repeat([]byte{0x81, 0, 0, 1}, 5), ethernet[12:], fragments[0])},
		"IEEE 802.3, SNAP":          {data: join(ethernet[:12], []byte{5, 0xb8, 0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd}, fragments[0])},
		"in PPPoE":                  {data: join(ethernet[:12], []byte{0x88, 0x64, 0x11, 0, 0, 1, 5, 0xb8, 0, 0x57}, fragments[0])},
		"longer than on the wire":   {data: join(ethernet, udp), original: 5},
	} {
		t.Run(name, func(t *testing.T) {
			f := newPcapFile(capture.Ethernet)
			in := join(f.header(), f.packet(p))
			r := defragment(t, in, capture.Options{})
			r.mustBe(t, in)
			if r.counts.Packets != 1 || r.counts.Written != 1 {
				t.Errorf("counts %+v", r.counts)
			}
		})
	}
}

// TestSnapLength raises what readers would refuse reassembled packets for.
func TestSnapLength(t *testing.T) {
	for snap, want := range map[uint32]uint32{0: 262144, 96: 262144, 65535: 262144, 262144: 262144, 1 << 30: 1 << 30} {
		f := newPcapFile(capture.Raw)
		f.snap = snap
		in := f.file([]byte("x"))
		f.snap = want
		defragment(t, in, capture.Options{}).mustBe(t, f.file([]byte("x")))
	}
}

// TestLargest reassembles the largest datagram there is.
func TestLargest(t *testing.T) {
	whole, fragments := echo(hosts, 1, 65527, 1448)
	f := newPcapFile(capture.Raw)
	f.snap = 65535
	r := defragment(t, f.file(fragments...), capture.Options{})
	f.snap = 262144
	last := uint32(1000 + len(fragments) - 1)
	r.mustBe(t, join(f.header(), f.packet(packetAt{seconds: last, data: whole})))
}

// TestFrameCheckSequence keeps a check sequence right where the file says
// there is one.
func TestFrameCheckSequence(t *testing.T) {
	checked := func(packet []byte) []byte {
		frame := join(frames[4].header, packet)
		return binary.LittleEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame))
	}
	whole, fragments := echo(hosts, 1, 3000, 1448)
	f := newPcapFile(capture.Ethernet)
	f.linkType |= 1<<26 | 2<<28
	in := f.file(checked(fragments[0]), checked(fragments[1]), checked(fragments[2]))
	want := join(f.header(), f.packet(packetAt{seconds: 1002, data: checked(whole)}))
	defragment(t, in, capture.Options{}).mustBe(t, want)
}

// TestNoCapture refuses files that are none, and says what they are.
func TestNoCapture(t *testing.T) {
	old := newPcapFile(capture.Raw).header()
	old[4] = 1
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":            {nil, "ends after 0 octets"},
		"short":            {[]byte{0xd4, 0xc3}, "ends after 2 octets"},
		"text":             {[]byte("hello world"), "begins with"},
		"gzip":             {[]byte("\x1f\x8b\x08\x00"), "gzip"},
		"zstd":             {[]byte("\x28\xb5\x2f\xfd"), "zstd"},
		"modified":         {[]byte("\x34\xcd\xb2\xa1"), "modified"},
		"half a header":    {newPcapFile(capture.Raw).header()[:20], "20 of 24 octets"},
		"version 1":        {old, "version 1.4"},
		"link type":        {newPcapFile(105).header(), "link type 105: want 101 (raw IP)"},
		"half a section":   {littleNG.section()[:20], "8 of 16 octets"},
		"order of section": {littleNG.block(0x0a0d0d0a, make([]byte, 16)), "byte-order magic"},
		"section 2.0":      {bytes.Replace(littleNG.section(), []byte{1, 0, 0, 0}, []byte{2, 0, 0, 0}, 1), "version 2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := capture.NewReader(bytes.NewReader(c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v: want one with %q", err, c.want)
			}
		})
	}
}

// TestDamagedPcap writes all that is readable and names the place where it is
// not.
func TestDamagedPcap(t *testing.T) {
	f := newPcapFile(capture.Raw)
	packet := hosts.Packet(wire.UDPProtocol, hosts.UDP(1, 2, []byte("sound")))
	_, fragments := echo(hosts, 1, 3000, 1448)
	sound := f.file(packet, fragments[0], packet)
	kept := join(f.header(), f.packet(packetAt{seconds: 1000, data: packet}), f.packet(packetAt{seconds: 1002, data: packet}))
	next := f.packet(packetAt{seconds: 1003, data: packet})
	huge := bytes.Clone(next)
	f.order.PutUint32(huge[8:], 262145)
	for name, c := range map[string]struct {
		tail []byte
		want string
	}{
		"half a record header": {next[:9], "9 of 16 octets"},
		"no data":              {next[:16], "53 more octets"},
		"half the data":        {next[:20], "4 of 53 octets"},
		"absurd length":        {huge, "captured length 262145: want at most 262144"},
	} {
		t.Run(name, func(t *testing.T) {
			r := defragment(t, join(sound, c.tail), capture.Options{})
			var damage *capture.Damage
			if !errors.As(r.err, &damage) || damage.Packet != 4 || damage.Between || damage.Offset != int64(len(sound)) {
				t.Fatalf("error %#v: want a Damage of packet 4 at %d", r.err, len(sound))
			}
			if text := r.err.Error(); !strings.Contains(text, "packet 4, at byte offset") || !strings.Contains(text, c.want) {
				t.Errorf("error %q", r.err)
			}
			mustEqual(t, r.out, kept)
			if len(r.losses) != 1 || r.losses[0].Packet != 2 {
				t.Errorf("losses %+v: want packet 2", r.losses)
			}
		})
	}
}
