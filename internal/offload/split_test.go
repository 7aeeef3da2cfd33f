package offload_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/internal/wire"
)

// with returns a copy of the draft, changed.
func (d draft) with(change func(*draft)) draft {
	change(&d)
	return d
}

var extensions = wire.Extensions{}.With(wire.HopByHop, wire.Options(1)).With(wire.DestinationOptions, wire.Options(2))

// drafts are packets to be cut, by what is special about them.
var drafts = map[string]draft{
	"plain":             tcp(3000),
	"pending":           tcp(3000).with(func(d *draft) { d.pending = true }),
	"timestamps":        tcp(3000).with(func(d *draft) { d.options = timestamps; d.pending = true }),
	"all options":       tcp(3000).with(func(d *draft) { d.options = wire.Payload(40) }),
	"extension headers": tcp(3000).with(func(d *draft) { d.extensions = extensions; d.pending = true }),
	"all flags":         tcp(3000).with(func(d *draft) { d.flags = 0xff; d.reserved = 0xf; d.urgent = 9 }),
	"ipv4":              tcp(3000).with(func(d *draft) { d.v4 = true }),
	"ipv4 pending":      tcp(3000).with(func(d *draft) { d.v4 = true; d.pending = true; d.df = false }),
	"ipv4 options":      tcp(3000).with(func(d *draft) { d.v4 = true; d.ipOptions = 10; d.options = timestamps }),
	"udp":               tcp(3000).with(func(d *draft) { d.udp = true }),
	"udp pending":       tcp(3000).with(func(d *draft) { d.udp = true; d.pending = true }),
	"udp extensions":    tcp(3000).with(func(d *draft) { d.udp = true; d.extensions = extensions }),
	"udp ipv4":          tcp(3000).with(func(d *draft) { d.udp = true; d.v4 = true; d.pending = true }),
	"udp ipv4 unsummed": tcp(3000).with(func(d *draft) { d.udp = true; d.v4 = true; d.unsummed = true }),
	"udp ipv6 unsummed": tcp(3000).with(func(d *draft) { d.udp = true; d.unsummed = true }),
}

func TestSplitIsTheModel(t *testing.T) {
	for name, d := range drafts {
		for _, mss := range []int{1, 7, 64, 999, 1000, 1001, 1440, 1500, 2999} {
			t.Run(fmt.Sprintf("%s by %d", name, mss), func(t *testing.T) {
				packet := d.packet()
				got := split(t, d.job(mss), inViews(packet, d.headers(), d.headers()+1701))
				equal(t, got, d.segments(mss))
				sizes(t, d.job(mss), packet, got)
			})
		}
	}
}

// sizes checks the job's figures against what Split made.
func sizes(t *testing.T, j offload.Job, packet []byte, made [][]byte) {
	t.Helper()
	var want offload.Sizes
	for _, m := range made {
		want.Count++
		want.Octets += len(m)
		want.Largest = max(want.Largest, len(m))
	}
	b := inViews(packet)
	defer b.Release()
	if got := j.Sizes(&b); got != want {
		t.Errorf("sizes %+v, want %+v", got, want)
	}
	if got := (offload.Sizes{Count: j.Count(&b), Largest: j.Largest(&b), Octets: j.Octets(&b)}); got != want {
		t.Errorf("sizes one by one %+v, want %+v", got, want)
	}
}

// All packets that Split makes have right checksums in the eyes of Valid.
func TestSegmentsAreValid(t *testing.T) {
	for name, d := range drafts {
		for i, segment := range split(t, d.job(1000), inViews(d.packet())) {
			if b := inViews(segment); !offload.Valid(&b) {
				t.Errorf("%s: segment %d has a wrong checksum", name, i)
				b.Release()
			} else {
				b.Release()
			}
		}
	}
}

func TestSplitWhereverViewsEnd(t *testing.T) {
	for name, large := range drafts {
		t.Run(name, func(t *testing.T) {
			d := large.with(func(d *draft) { d.payload = d.payload[:50] })
			packet, want := d.packet(), d.segments(7)
			for end := range packet {
				equal(t, split(t, d.job(7), inViews(packet, end)), want)
				equal(t, split(t, d.job(7), inViews(packet, end/2, end)), want)
			}
			equal(t, split(t, d.job(7), inViews(packet, everyOctet(packet)...)), want)
		})
	}
}

// The rules for flags, spelt out.
func TestFlags(t *testing.T) {
	for _, c := range []struct {
		flags, first, middle, last uint8
	}{
		{ack, ack, ack, ack},
		{ack | psh, ack, ack, ack | psh},
		{ack | fin, ack, ack, ack | fin},
		{ack | fin | psh, ack, ack, ack | fin | psh},
		{ack | cwr, ack | cwr, ack, ack},
		{ack | ece, ack | ece, ack | ece, ack | ece},
		{ack | cwr | ece | psh, ack | cwr | ece, ack | ece, ack | ece | psh},
		{ack | urg, ack | urg, ack | urg, ack | urg},
	} {
		d := tcp(300).with(func(d *draft) { d.flags = c.flags })
		got := split(t, d.job(100), inViews(d.packet()))
		if len(got) != 3 {
			t.Fatalf("%d packets, want 3", len(got))
		}
		for i, want := range []uint8{c.first, c.middle, c.last} {
			if flags := got[i][40+13]; flags != want {
				t.Errorf("flags %#x: packet %d has %#x, want %#x", c.flags, i, flags, want)
			}
		}
	}
}

// The rules for numbers, spelt out: sequence numbers and identifications wrap,
// the sizes of an exact multiple and of a rest.
func TestNumbers(t *testing.T) {
	d := tcp(0x400).with(func(d *draft) { d.v4 = true })
	for _, mss := range []int{0x200, 0x180} {
		at := 0
		for i, s := range split(t, d.job(mss), inViews(d.packet())) {
			n := min(mss, 0x400-at)
			if got, want := len(s), 40+n; got != want {
				t.Errorf("by %d: packet %d has %d octets, want %d", mss, i, got, want)
			}
			if got := binary.BigEndian.Uint16(s[2:]); int(got) != len(s) {
				t.Errorf("by %d: packet %d says %d octets, want %d", mss, i, got, len(s))
			}
			if got, want := binary.BigEndian.Uint16(s[4:]), uint16(0xfffe+i); got != want {
				t.Errorf("by %d: packet %d has identification %#x, want %#x", mss, i, got, want)
			}
			if got, want := binary.BigEndian.Uint32(s[24:]), uint32(0xfffffe00+at); got != want {
				t.Errorf("by %d: packet %d has sequence number %#x, want %#x", mss, i, got, want)
			}
			if got := slowSum(s[:20]); got != 0xffff {
				t.Errorf("by %d: packet %d has a wrong header checksum", mss, i)
			}
			at += n
		}
		if at != 0x400 {
			t.Errorf("by %d: %d octets of payload", mss, at)
		}
	}
}

func TestNothingToCut(t *testing.T) {
	for name, large := range drafts {
		for _, n := range []int{0, 1, 99, 100} {
			t.Run(fmt.Sprintf("%s, %d", name, n), func(t *testing.T) {
				d := large.with(func(d *draft) { d.payload = d.payload[:n] })
				packet := d.packet()
				want := packet
				if d.pending {
					want = d.with(func(d *draft) { d.pending = false }).packet()
				}
				got := split(t, d.job(100), inViews(packet, 30))
				equal(t, got, [][]byte{want})
				sizes(t, d.job(100), packet, got)
			})
		}
	}
	packet := []byte("anything")
	equal(t, split(t, offload.Job{}, inViews(packet)), [][]byte{packet})
	equal(t, split(t, offload.Job{}, buffer.Buffer{}), [][]byte{nil})
}

// The destination of a packet with an unused Routing header is not the one that
// the checksum covers; the sum left in the field is.
func TestSplitOfADetour(t *testing.T) {
	routing := wire.Options(3)
	routing[2], routing[3] = 0, 1
	d := tcp(300).with(func(d *draft) { d.pending = true; d.extensions = d.extensions.With(wire.Routing, routing) })
	equal(t, split(t, d.job(100), inViews(d.packet())), d.segments(100))
}

func TestMalformed(t *testing.T) {
	six, four := tcp(300), tcp(300).with(func(d *draft) { d.v4 = true })
	udp := tcp(300).with(func(d *draft) { d.udp = true })
	detour := wire.Options(1)
	detour[3] = 1
	through := func(kind uint8, body []byte) draft {
		return six.with(func(d *draft) { d.extensions = d.extensions.With(kind, body) })
	}
	for name, c := range map[string]struct {
		draft
		spoil func(j *offload.Job, packet []byte) []byte
	}{
		"no MSS":               {six, func(j *offload.Job, p []byte) []byte { j.MSS = 0; return p }},
		"negative MSS":         {six, func(j *offload.Job, p []byte) []byte { j.MSS = -1; return p }},
		"negative start":       {six, func(j *offload.Job, p []byte) []byte { j.Start = -1; return p }},
		"start behind":         {six, func(j *offload.Job, p []byte) []byte { j.Start = len(p) - 19; return p }},
		"start far behind":     {udp, func(j *offload.Job, p []byte) []byte { j.Start = len(p) + 1; return p }},
		"start too late":       {udp, func(j *offload.Job, p []byte) []byte { j.Start += 8; return p }},
		"start too early":      {udp, func(j *offload.Job, p []byte) []byte { j.Start -= 8; return p }},
		"field outside":        {six, func(j *offload.Job, p []byte) []byte { j.MSS, j.Checksum, j.Offset = 300, true, 400; return p }},
		"field of no kind":     {six, func(j *offload.Job, p []byte) []byte { *j = offload.Job{Checksum: true, Start: len(p) - 1}; return p }},
		"short data offset":    {six, func(_ *offload.Job, p []byte) []byte { p[52] = 4 << 4; return p }},
		"long data offset":     {six, func(_ *offload.Job, p []byte) []byte { p[52] = 15 << 4; return p[:90] }},
		"cut off":              {six, func(_ *offload.Job, p []byte) []byte { return p[:len(p)-1] }},
		"too long":             {six, func(_ *offload.Job, p []byte) []byte { return append(p, 0) }},
		"ipv4 too long":        {four, func(_ *offload.Job, p []byte) []byte { return append(p, 0) }},
		"no version":           {six, func(_ *offload.Job, p []byte) []byte { p[0] = 0x50; return p }},
		"other protocol":       {six, func(_ *offload.Job, p []byte) []byte { p[6] = wire.UDPProtocol; return p }},
		"other protocol, UDP":  {udp, func(_ *offload.Job, p []byte) []byte { p[6] = wire.TCP; return p }},
		"short IPv4 header":    {four, func(_ *offload.Job, p []byte) []byte { p[0] = 0x44; return p }},
		"IPv4 fragment":        {four, func(_ *offload.Job, p []byte) []byte { p[6] = 0x20; return p }},
		"later IPv4 fragment":  {four, func(_ *offload.Job, p []byte) []byte { p[7] = 1; return p }},
		"atomic fragment":      {through(wire.FragmentHeader, make([]byte, 8)), nil},
		"fragment":             {through(wire.FragmentHeader, []byte{0, 0, 0, 1, 0, 0, 0, 0}), nil},
		"authenticated":        {through(wire.AH, wire.Authentication(6)), nil},
		"detour, checksum set": {through(wire.Routing, detour), nil},
		"empty":                {six, func(*offload.Job, []byte) []byte { return nil }},
	} {
		j, packet := c.job(100), c.packet()
		if c.spoil != nil {
			packet = c.spoil(&j, packet)
		}
		b := inViews(packet)
		err := j.Split(&b, func(segment buffer.Buffer) {
			t.Errorf("%s: a segment was added", name)
			segment.Release()
		})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if b.Size() != 0 {
			t.Errorf("%s: the packet was not released", name)
		}
	}
}

// Payload is shared with the packet, headers are not.
func TestSplitSharesPayload(t *testing.T) {
	d := tcp(3000)
	packet := inViews(d.packet(), d.headers())
	defer packet.Release()
	original := d.packet()
	clone := packet.Clone()
	views := packet.AsViewList()
	payload := views.Back().AsSlice()
	at := 0
	err := d.job(700).Split(&clone, func(segment buffer.Buffer) {
		defer segment.Release()
		views := segment.AsViewList()
		headers, shared := views.Front(), views.Back()
		if headers.Size() != d.headers() || shared != headers.Next() {
			t.Fatalf("%d octets in the first view, want %d, and one more view", headers.Size(), d.headers())
		}
		if &shared.AsSlice()[0] != &payload[at] {
			t.Errorf("the payload at %d was copied", at)
		}
		at += shared.Size()
	})
	if err != nil || at != 3000 {
		t.Errorf("%d octets, %v", at, err)
	}
	equal(t, [][]byte{packet.Flatten()}, [][]byte{original})
}
