package offload_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/internal/wire"
)

// finish returns what Finish makes of packet, in views that end at ends. It
// checks that memory shared with a clone stays as it is.
func finish(t *testing.T, j offload.Job, packet []byte, ends ...int) []byte {
	t.Helper()
	b := inViews(packet, ends...)
	clone := b.Clone()
	if err := j.Finish(&b); err != nil {
		t.Fatalf("Finish: %v", err)
	}
	if int(b.Size()) != len(packet) {
		t.Fatalf("size %d, want %d", b.Size(), len(packet))
	}
	if got := flat(clone); !bytes.Equal(got, packet) {
		t.Fatalf("the clone became\n%x, want\n%x", got, packet)
	}
	return flat(b)
}

func TestFinish(t *testing.T) {
	for name, large := range drafts {
		for _, n := range []int{0, 1, 2, 99, 3000} { // The last in a chunk above 512 octets.
			d := large.with(func(d *draft) { d.payload = d.payload[:n]; d.unsummed = false })
			pending := d.with(func(d *draft) { d.pending = true })
			want := d.with(func(d *draft) { d.pending = false }).packet()
			j := pending.job(0)
			j.Kind = offload.None
			got := [][]byte{finish(t, j, pending.packet())}
			for end := d.start(); end <= d.headers(); end++ {
				got = append(got, finish(t, j, pending.packet(), end))
			}
			for _, g := range got {
				if !bytes.Equal(g, want) {
					t.Fatalf("%s, %d octets: packet is\n%x, want\n%x", name, n, g, want)
				}
			}
		}
	}
}

// What nobody shares is written in place where it is small.
func TestFinishInPlace(t *testing.T) {
	d := tcp(3000).with(func(d *draft) { d.pending = true })
	b := inViews(d.packet(), d.headers())
	defer b.Release()
	views := b.AsViewList()
	headers := views.Front().AsSlice()
	if err := d.job(3000).Finish(&b); err != nil {
		t.Fatal(err)
	}
	want := d.with(func(d *draft) { d.pending = false }).packet()
	if !bytes.Equal(headers, want[:d.headers()]) {
		t.Errorf("headers are\n%x, want\n%x", headers, want[:d.headers()])
	}
}

// Of a large chunk that is shared only the headers are copied.
func TestFinishSharesPayload(t *testing.T) {
	d := tcp(3000).with(func(d *draft) { d.pending = true })
	b := inViews(d.packet())
	defer b.Release()
	clone := b.Clone()
	defer clone.Release()
	if err := d.job(3000).Finish(&b); err != nil {
		t.Fatal(err)
	}
	cloned, views := clone.AsViewList(), b.AsViewList()
	original, rest := cloned.Front().AsSlice(), views.Back().AsSlice()
	if &rest[len(rest)-1] != &original[len(original)-1] {
		t.Error("the payload was copied")
	}
	equal(t, [][]byte{b.Flatten()}, [][]byte{d.with(func(d *draft) { d.pending = false }).packet()})
}

func TestNothingToFinish(t *testing.T) {
	d := tcp(10).with(func(d *draft) { d.pending = true })
	j := d.job(10)
	j.Checksum = false
	if got := finish(t, j, d.packet()); !bytes.Equal(got, d.packet()) {
		t.Errorf("packet became %x", got)
	}
}

func TestFieldOutside(t *testing.T) {
	packet := tcp(0).packet()
	for _, j := range []offload.Job{
		{Start: 40, Offset: 19},
		{Start: 40, Offset: -1},
		{Start: -1, Offset: 16},
		{Start: 1000, Offset: 16},
	} {
		j.Checksum = true
		b := inViews(packet)
		if err := j.Finish(&b); err == nil {
			t.Errorf("%+v: no error", j)
		}
		if got := flat(b); !bytes.Equal(got, packet) {
			t.Errorf("%+v: packet became %x", j, got)
		}
	}
	if got := finish(t, offload.Job{Checksum: true, Start: 40, Offset: 18}, packet); bytes.Equal(got, packet) {
		t.Error("the last field of the packet was not written")
	}
}

// toZero changes the payload so that the packet's checksum comes to zero.
func (d draft) toZero() draft {
	d.payload = make([]byte, len(d.payload))
	packet := d.with(func(d *draft) { d.pending = false }).packet()
	offset := 16
	if d.udp {
		offset = 6
	}
	copy(d.payload, packet[d.start()+offset:][:2])
	return d
}

// A checksum of zero means in UDP that there is none, so that it becomes 0xffff;
// in TCP it is one like others.
func TestChecksumZero(t *testing.T) {
	for _, v4 := range []bool{false, true} {
		for _, udp := range []bool{false, true} {
			d := tcp(64).with(func(d *draft) { d.v4, d.udp, d.pending = v4, udp, true }).toZero()
			want := uint16(0)
			j := d.job(64)
			if udp {
				want = 0xffff
			}
			field := func(packet []byte) uint16 { return binary.BigEndian.Uint16(packet[j.Start+j.Offset:]) }
			if got := field(finish(t, j, d.packet())); got != want {
				t.Errorf("ipv4 %v, udp %v: Finish wrote %#x, want %#x", v4, udp, got, want)
			}
			j.Kind = offload.None
			if got := field(finish(t, j, d.packet())); got != want {
				t.Errorf("ipv4 %v, udp %v: Finish wrote %#x without kind, want %#x", v4, udp, got, want)
			}
			long := d.with(func(d *draft) { d.payload = append(d.payload, wire.Payload(10)...) })
			packets := split(t, long.job(64), inViews(long.packet()))
			if got := field(packets[0]); got != want {
				t.Errorf("ipv4 %v, udp %v: Split wrote %#x, want %#x", v4, udp, got, want)
			}
			for _, p := range packets {
				if b := inViews(p); !offload.Valid(&b) {
					t.Errorf("ipv4 %v, udp %v: invalid", v4, udp)
					b.Release()
				} else {
					b.Release()
				}
			}
		}
	}
}
