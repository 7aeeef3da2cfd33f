package capture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/v6stack/v6stack/internal/capture"
	"github.com/v6stack/v6stack/internal/wire"
)

// TestSections reassembles in a file of two sections of different byte
// orders, and copies every other block as it is.
func TestSections(t *testing.T) {
	whole, fragments := echo(hosts, 1, 3000, 1448)
	var in, want []byte
	for _, order := range bothOrders {
		f := ngFile{order}
		comment := f.option(1, []byte("a comment"))
		around := func(packets ...[]byte) []byte {
			return join(
				f.section(comment, f.option(4, []byte("program"))),
				f.iface(capture.Raw, 262144, f.option(2, []byte("eth0")), f.option(9, []byte{9}), f.option(0, nil)),
				f.iface(capture.Raw, 0, f.option(9, []byte{9})),
				f.block(4, []byte("\x00\x00\x00\x00name resolution")),
				f.block(0x80000bad, []byte("custom block, not to be understood")),
				join(packets...),
				f.block(5, make([]byte, 12), comment), // interface statistics
				f.block(0x40000bad, []byte("custom block, not to be copied by editors")),
				f.block(0x7fffffff), // unknown and empty
			)
		}
		flags := join(f.option(2, word(order, 1)), f.option(1, []byte("hm")), f.option(0, nil))
		hashed := join(f.option(3, []byte{2, 1, 2, 3, 4}), flags)
		other := hosts.Packet(wire.UDPProtocol, hosts.UDP(1, 2, []byte("between")))
		in = append(in, around(
			f.enhanced(0, packetAt{seconds: 1, fraction: 1, data: fragments[0]}, hashed),
			f.enhanced(1, packetAt{seconds: 1, fraction: 2, data: other, original: 99}, hashed),
			f.enhanced(1, packetAt{seconds: 1, fraction: 3, data: fragments[2]}),
			f.enhanced(0, packetAt{seconds: 1, fraction: 4, data: fragments[1]}, hashed),
			f.enhanced(0, packetAt{seconds: 1, fraction: 5, data: fragments[0][:30]}, flags),
		)...)
		want = append(want, around(
			f.enhanced(1, packetAt{seconds: 1, fraction: 2, data: other, original: 99}, hashed),
			f.enhanced(0, packetAt{seconds: 1, fraction: 4, data: whole}, flags),
			f.enhanced(0, packetAt{seconds: 1, fraction: 5, data: fragments[0][:30]}, flags),
		)...)
	}
	r := defragment(t, in, capture.Options{})
	r.mustBe(t, want)
	if r.counts.Datagrams != 2 || r.counts.Packets != 10 || len(r.losses) != 0 {
		t.Errorf("counts %+v, losses %v", r.counts, r.losses)
	}
}

// TestBlockTypes reassembles in each type of packet block.
func TestBlockTypes(t *testing.T) {
	whole, fragments := echo(hosts, 1, 3000, 1448)
	for _, order := range bothOrders {
		f := ngFile{order}
		options := join(f.option(2, word(order, 2)), f.option(0, nil))
		for name, block := range map[string]func(i int, data []byte) []byte{
			"enhanced": func(i int, data []byte) []byte {
				return f.enhanced(0, packetAt{fraction: uint32(i), data: data}, options)
			},
			"obsolete": func(i int, data []byte) []byte {
				return f.obsolete(0, packetAt{fraction: uint32(i), data: data}, options)
			},
			"simple": func(_ int, data []byte) []byte { return f.simple(data, len(data)) },
		} {
			t.Run(name, func(t *testing.T) {
				head := join(f.section(), f.iface(capture.Raw, 0))
				in := join(head, block(1, fragments[2]), block(2, fragments[1]), block(3, fragments[0]), block(4, whole))
				defragment(t, in, capture.Options{}).mustBe(t, join(head, block(3, whole), block(4, whole)))
			})
		}
	}
}

// TestMalformedOptions keeps the options that can be told apart.
func TestMalformedOptions(t *testing.T) {
	f := littleNG
	whole, fragments := echo(hosts, 1, 2000, 1448)
	head := join(f.section(), f.iface(capture.Raw, 0, []byte{9, 0, 0xff, 0xff}))
	comment := f.option(1, []byte("kept"))
	in := join(head,
		f.enhanced(0, packetAt{data: fragments[0]}),
		f.enhanced(0, packetAt{data: fragments[1]}, comment, []byte{2, 0, 5, 0, 1, 2, 3, 4}))
	want := join(head, f.enhanced(0, packetAt{data: whole}, comment, f.option(0, nil)))
	defragment(t, in, capture.Options{}).mustBe(t, want)
}

// TestSnapLengthOfInterfaces raises snapshot lengths, and keeps packets cut
// that only they told to be.
func TestSnapLengthOfInterfaces(t *testing.T) {
	f := littleNG
	whole := hosts.Packet(wire.UDPProtocol, hosts.UDP(1, 2, wire.Payload(100)))
	for snap, want := range map[uint32]uint32{0: 0, 64: 262144, 262144: 262144, 300000: 300000} {
		in := join(f.section(), f.iface(capture.Raw, snap), f.simple([]byte("short"), 5))
		defragment(t, in, capture.Options{}).mustBe(t, join(f.section(), f.iface(capture.Raw, want), f.simple([]byte("short"), 5)))
	}
	in := join(f.section(), f.iface(capture.Raw, 64), f.simple(whole[:64], len(whole)))
	want := join(f.section(), f.iface(capture.Raw, 262144), f.enhanced(0, packetAt{data: whole[:64], original: len(whole)}))
	defragment(t, in, capture.Options{}).mustBe(t, want)
}

// TestSectionLength takes back what cannot be known in advance.
func TestSectionLength(t *testing.T) {
	f := littleNG
	told := f.section()
	binary.LittleEndian.PutUint64(told[16:], 28)
	in := join(told, f.iface(capture.Raw, 0), f.simple([]byte("x"), 1))
	want := join(f.section(), f.iface(capture.Raw, 0), f.simple([]byte("x"), 1))
	defragment(t, in, capture.Options{}).mustBe(t, want)
}

// TestForeignInterface copies the packets of link types that are not known.
func TestForeignInterface(t *testing.T) {
	f := littleNG
	whole, fragments := echo(hosts, 1, 2000, 1448)
	head := join(f.section(), f.iface(105, 0), f.iface(capture.Raw, 0))
	foreign := f.enhanced(0, packetAt{data: fragments[0]})
	in := join(head, foreign, f.enhanced(1, packetAt{data: fragments[0]}), foreign, f.enhanced(1, packetAt{data: fragments[1]}))
	r := defragment(t, in, capture.Options{})
	r.mustBe(t, join(head, foreign, foreign, f.enhanced(1, packetAt{data: whole})))
	if r.counts.Foreign != 2 {
		t.Errorf("%d foreign packets: want 2", r.counts.Foreign)
	}
}

// TestFrameCheckSequenceNG takes its presence from the interface or, first,
// from the packet.
func TestFrameCheckSequenceNG(t *testing.T) {
	f := littleNG
	checked := func(packet []byte) []byte {
		frame := join(frames[4].header, packet)
		return binary.LittleEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame))
	}
	whole, fragments := echo(hosts, 1, 2000, 1448)
	flagged := join(f.option(2, word(f.order, 4<<5)), f.option(0, nil))
	for name, c := range map[string]struct{ iface, packet []byte }{
		"interface": {f.option(13, []byte{4}), nil},
		"packet":    {nil, flagged},
		"both":      {f.option(13, []byte{2}), flagged},
	} {
		t.Run(name, func(t *testing.T) {
			head := join(f.section(), f.iface(capture.Ethernet, 0, c.iface))
			in := join(head,
				f.enhanced(0, packetAt{data: checked(fragments[0])}, c.packet),
				f.enhanced(0, packetAt{data: checked(fragments[1])}, c.packet))
			defragment(t, in, capture.Options{}).mustBe(t, join(head, f.enhanced(0, packetAt{data: checked(whole)}, c.packet)))
		})
	}
}

// TestDamagedPcapng writes all that is readable and names the place where it
// is not.
func TestDamagedPcapng(t *testing.T) {
	f := littleNG
	packet := hosts.Packet(wire.UDPProtocol, hosts.UDP(1, 2, []byte("sound")))
	sound := join(f.section(), f.iface(capture.Raw, 0), f.enhanced(0, packetAt{data: packet}))
	next := f.enhanced(0, packetAt{data: packet})
	change := func(block []byte, offset int, v uint32) []byte {
		block = bytes.Clone(block)
		f.order.PutUint32(block[offset:], v)
		return block
	}
	many := bytes.Repeat(f.iface(capture.Raw, 0), 65536)
	for name, c := range map[string]struct {
		tail    []byte
		between bool // the damaged block is no packet
		want    string
		skipped int // sound octets of tail
	}{
		"half a head":            {next[:5], true, "5 of 8 octets", 0},
		"no body":                {next[:8], false, "the file ends", 0},
		"half a body":            {next[:40], false, "32 of", 0},
		"lengths differ":         {change(next, len(next)-4, 4), false, "at its start and 4 at its end", 0},
		"length too small":       {change(next, 4, 28), false, "length 28", 0},
		"length odd":             {change(next, 4, 35), false, "length 35", 0},
		"length absurd":          {change(next, 4, 0xfffffffc), false, "length 4294967292", 0},
		"captured too long":      {change(next, 20, 4000), false, "captured length 4000", 0},
		"captured absurd":        {change(next, 20, 0xffffffff), false, "captured length 4294967295", 0},
		"no such interface":      {change(next, 8, 1), false, "interface 1: the section has 1", 0},
		"no interface yet":       {join(f.section(), next), false, "the section has 0", len(f.section())},
		"simple, no room":        {change(f.simple([]byte("1234"), 4), 8, 5), false, "captured length 5", 0},
		"section, bad magic":     {change(f.section(), 8, 1), true, "byte-order magic", 0},
		"section, cut off":       {f.section()[:9], true, "the file ends", 0},
		"unknown block, cut off": {f.block(77, []byte("12345678"))[:17], true, "9 of 12", 0},
		"too many interfaces":    {many, true, "want at most 65536", len(many) - 20},
	} {
		t.Run(name, func(t *testing.T) {
			offset := int64(len(sound) + c.skipped)
			r := defragment(t, join(sound, c.tail), capture.Options{})
			var damage *capture.Damage
			if !errors.As(r.err, &damage) || damage.Offset != offset || damage.Between != c.between {
				t.Fatalf("error %#v: want a Damage at %d", r.err, offset)
			}
			if want := uint64(2); !c.between && damage.Packet != want || c.between && damage.Packet != 1 {
				t.Errorf("packet %d at fault", damage.Packet)
			}
			if !strings.Contains(r.err.Error(), c.want) {
				t.Errorf("error %q: want one with %q", r.err, c.want)
			}
			mustEqual(t, r.out, join(sound, c.tail[:c.skipped]))
		})
	}
}

// TestTimeStamps converts those of every resolution.
func TestTimeStamps(t *testing.T) {
	const most, least = 1<<63 - 1, -1 << 63
	for _, c := range []struct {
		tsresol uint8
		stamp   uint64
		offset  int64
		want    int64
	}{
		{6, 1_500_000, 0, 1_500_000_000},
		{6, 1_500_000, 10, 11_500_000_000},
		{6, 1_500_000, -1, 500_000_000},
		{9, 1<<63 - 1, 0, most},
		{9, 1 << 63, 0, most},
		{0, 5, 0, 5_000_000_000},
		{0, 1 << 40, 0, most},
		{3, 1234, 0, 1_234_000_000},
		{12, 1_999, 0, 1},
		{12, 1<<64 - 1, 0, 18_446_744_073_709_551},
		{127, 1<<64 - 1, 0, 0},
		{0x80, 3, 0, 3_000_000_000},
		{0x80 | 10, 1536, 0, 1_500_000_000},
		{0x80 | 30, 1 << 30, 0, 1_000_000_000},
		{0x80 | 63, 1 << 62, 0, 500_000_000},
		{0x80 | 64, 1 << 63, 0, 500_000_000},
		{0x80 | 65, 1 << 63, 0, 250_000_000},
		{0xff, 1<<64 - 1, 0, 0},
		{6, 1, most, most},
		{6, 0, least, least},
		{9, 1<<63 - 1, 1, most},
	} {
		if got := capture.Nanoseconds(c.tsresol, c.stamp, c.offset); got != c.want {
			t.Errorf("resolution %#x, stamp %d, offset %d: %d, want %d", c.tsresol, c.stamp, c.offset, got, c.want)
		}
	}
}

// TestRecords looks at what a reader says of packets.
func TestRecords(t *testing.T) {
	f := littleNG
	in := join(f.section(),
		f.iface(capture.Raw, 0, f.option(9, []byte{9}), f.option(14, []byte{100, 0, 0, 0, 0, 0, 0, 0})),
		f.enhanced(0, packetAt{fraction: 7, data: []byte("a")}),
		f.section(),
		f.iface(capture.Ethernet, 0),
		f.iface(capture.Loop, 0),
		f.enhanced(1, packetAt{fraction: 7, data: []byte("bc")}),
		f.simple([]byte("def"), 3))
	reader, err := capture.NewReader(bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	type seen struct {
		Number    uint64
		LinkType  capture.LinkType
		Interface uint32
		Time      int64
		Timed     bool
		Data      string
	}
	var got []seen
	for {
		rec, err := reader.Next()
		if err != nil {
			break
		}
		if rec.Number != 0 {
			got = append(got, seen{rec.Number, rec.LinkType, rec.Interface, rec.Time, rec.Timed, string(rec.Data)})
		}
	}
	want := []seen{
		{1, capture.Raw, 0, 100_000_000_007, true, "a"},
		{2, capture.Loop, 2, 7_000, true, "bc"},
		{3, capture.Ethernet, 1, 0, false, "def"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("packets %+v\nwant %+v", got, want)
	}
}
