package offload_test

import (
	"bytes"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/internal/wire"
)

// A script is a fuzzer's octets, read as decisions. At its end all are 0.
type script []byte

// next takes one octet.
func (s *script) next() int {
	if len(*s) == 0 {
		return 0
	}
	octet := (*s)[0]
	*s = (*s)[1:]
	return int(octet)
}

// chance is one of eight, or so.
func (s *script) chance() bool { return s.next()&7 == 7 }

// number takes two octets.
func (s *script) number() int { return s.next()<<8 | s.next() }

var fuzzedExtensions = []wire.Extensions{
	{},
	{},
	extensions,
	wire.Extensions{}.With(wire.Routing, make([]byte, 8)),
	wire.Extensions{}.With(wire.DestinationOptions, wire.Options(7)),
}

// draft takes a packet of a flow.
func (s *script) draft() draft {
	d := tcp(1 + s.number()%3000)
	form := s.next()
	d.v4 = form&1 != 0
	d.df = form&2 != 0
	d.pending = form&4 != 0
	d.udp = form&24 == 24
	d.unsummed = form&32 != 0 && d.udp && !d.pending
	d.flags = uint8(s.next())
	d.reserved = uint8(s.next()) & 15
	d.id, d.seq = uint16(s.number()), uint32(s.number())<<16|uint32(s.number())
	d.class, d.label = uint8(s.next()), uint32(s.number())
	d.options = wire.Payload(s.next() % 11 * 4)
	d.ipOptions = s.next() % 11
	d.extensions = fuzzedExtensions[s.next()%len(fuzzedExtensions)]
	return d
}

// ends takes the positions where views end in a packet of size octets.
func (s *script) ends(size int) []int {
	var ends []int
	for at := 0; ; {
		step := s.next()
		if at += step * step; step == 0 || at >= size {
			return ends
		}
		ends = append(ends, at)
	}
}

// A packet cut is, octet for octet, what the model makes of it.
func FuzzSplit(f *testing.F) {
	f.Add([]byte{1, 2, 4, 0x90})
	f.Add([]byte{11, 0, 25, 0xff, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 3, 2, 2, 100, 3, 7, 20, 40})
	f.Add([]byte{11, 1, 56, 0xff, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 10, 10, 4, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, octets []byte) {
		s := script(octets)
		d := s.draft()
		mss := 1 + s.number()%1500
		d.payload = d.payload[:min(len(d.payload), 50*mss)]
		packet := d.packet()
		got := split(t, d.job(mss), inViews(packet, s.ends(len(packet))...))
		equal(t, got, d.segments(mss))
		sizes(t, d.job(mss), packet, got)
		for i, p := range got {
			if !valid(p) && !(d.unsummed && !d.v4 && len(got) == 1) {
				t.Errorf("segment %d is invalid", i)
			}
		}
	})
}

// Valid says of any octets what the model says.
func FuzzValid(f *testing.F) {
	for _, c := range protected() {
		f.Add(c.packet, []byte{3, 5, 1})
	}
	f.Add(fixed.Fragment(wire.Fragment{Next: wire.TCP, Offset: 8, More: true}, nil), []byte{})
	f.Fuzz(func(t *testing.T, packet, cuts []byte) {
		s := script(cuts)
		if got, want := valid(packet, s.ends(len(packet))...), modelValid(packet); got != want {
			t.Errorf("valid %v, want %v", got, want)
		}
	})
}

// No octets and no job make anything panic, and what comes of them holds
// together.
func FuzzGarbage(f *testing.F) {
	for _, d := range drafts {
		d.payload = d.payload[:40]
		f.Add(d.packet(), uint8(1), 7, d.start(), 16, []byte{9, 1, 3})
		f.Add(d.packet(), uint8(6), 7, d.start(), 6, []byte{})
	}
	f.Fuzz(func(t *testing.T, packet []byte, form uint8, mss, start, offset int, cuts []byte) {
		s := script(cuts)
		ends := s.ends(len(packet))
		j := offload.Job{Kind: offload.Kind(form & 3 % 3), MSS: mss, Checksum: form&4 != 0, Start: start % 70000, Offset: offset % 70000}
		b := inViews(packet, ends...)
		want := j.Sizes(&b)
		var got offload.Sizes
		var segments [][]byte
		err := j.Split(&b, func(segment buffer.Buffer) {
			got.Count++
			got.Octets += int(segment.Size())
			got.Largest = max(got.Largest, int(segment.Size()))
			segments = append(segments, flat(segment))
		})
		switch {
		case err != nil && got.Count > 0:
			t.Errorf("%d segments and an error: %v", got.Count, err)
		case err == nil && got != want:
			t.Errorf("sizes %+v, want %+v", got, want)
		}
		for i, segment := range segments {
			if len(segments) > 1 && !j.Checksum && !valid(segment) {
				t.Errorf("segment %d is invalid", i)
			}
		}
		garbled(t, packet, ends, j)
	})
}

// garbled does with garbage all but cutting it.
func garbled(t *testing.T, packet []byte, ends []int, j offload.Job) {
	t.Helper()
	b := inViews(packet, ends...)
	if err := j.Finish(&b); err == nil && int(b.Size()) != len(packet) {
		t.Errorf("finished to %d octets, want %d", b.Size(), len(packet))
	}
	b.Release()
	pkts := []*gstack.PacketBuffer{received(packet, ends...), received(packet), received(packet)}
	defer release(pkts)
	pkts[0].GSOOptions = gstack.GSO{Type: gstack.GSOTCPv6, MSS: uint16(j.MSS), NeedsCsum: true}
	if offload.SizesOf(pkts[0]).Count < 1 || offload.JobOfPacket(pkts[0]).Start < 0 {
		t.Error("less than one packet")
	}
	var train offload.Train
	if n := train.Couple(pkts); n != 1 {
		t.Errorf("%d equal packets coupled", n) // The sequence number stays.
	}
}

// Whatever is coupled, its parts come out of Split as they were.
func FuzzCouple(f *testing.F) {
	f.Add([]byte{0, 99, 0, 0x10}, []byte{5})
	f.Add([]byte{0, 99, 3, 0x90, 0, 0xff, 0xff}, []byte{9, 0, 0, 7, 13, 8})
	f.Add([]byte{0, 9, 1, 0x11, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 3}, []byte{9, 0, 0, 0, 0, 0, 7, 50, 1})
	f.Fuzz(func(t *testing.T, first, rest []byte) {
		s := script(first)
		d := s.draft()
		d.pending = false
		d.flags = d.flags&^(syn|rst|urg) | ack
		s = script(rest)
		var packets [][]byte
		var pkts []*gstack.PacketBuffer
		for range 2 + s.next()%20 {
			packet := d.packet()
			if s.chance() {
				packet[s.number()%len(packet)] ^= byte(s.next())
			}
			packets = append(packets, packet)
			pkts = append(pkts, received(packet, s.ends(len(packet))...))
			d = s.after(d)
		}
		defer release(pkts)
		var train offload.Train
		n := train.Couple(pkts)
		if n == 1 {
			return
		}
		whole := large(&train, pkts[:n])
		if whole.Size() > 65535 {
			t.Errorf("%d octets", whole.Size())
		}
		equal(t, split(t, train.Job(), whole), packets[:n])
	})
}

// after takes what comes behind a segment: mostly the next one of the flow.
func (s *script) after(d draft) draft {
	d.seq += uint32(len(d.payload))
	d.id++
	d.flags &^= cwr
	d.payload = bytes.Clone(d.payload)
	d.payload[0]++
	switch what := s.next(); what {
	case 1:
		d.flags ^= uint8(s.next())
	case 2:
		d.payload = d.payload[:1+s.number()%len(d.payload)]
	case 3:
		d.seq += uint32(s.next())
	case 4:
		d.id += uint16(s.next())
	case 5:
		d.window += uint16(s.next())
	case 6:
		d.v4 = !d.v4
	}
	return d
}
