package defrag_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// R24: the headers are those of the first fragment, whenever it comes; the
// next-header octet before the Fragment header is patched, be it of the fixed
// header or of an extension header.
func TestDeliverHeaders(t *testing.T) {
	inner := chainOf(extension{wire.DestinationOptions, wire.Options(1)}, extension{wire.Routing, wire.Options(2)})
	for name, before := range map[string]wire.Extensions{
		"no headers": {},
		"one":        chainOf(extension{wire.HopByHop, wire.Options(1)}),
		"three":      chainOf(extension{wire.HopByHop, wire.Options(1)}, extension{wire.Routing, wire.Options(3)}, extension{wire.AH, wire.Authentication(5)}),
		"past octet 256": chainOf(extension{wire.DestinationOptions, wire.Options(30)}, extension{wire.Routing, wire.Options(30)},
			extension{wire.DestinationOptions, wire.Options(1)}),
	} {
		t.Run("R24 "+name, func(t *testing.T) {
			forPolicies(t, func(t *testing.T, policy defrag.Policy) {
				h := peers
				h.Extensions, h.HopLimit, h.FlowLabel, h.TrafficClass = before, 17, 0xabcde, 0xb8
				other := peers
				other.HopLimit, other.FlowLabel, other.TrafficClass = 99, 1, 0x48
				payload := inner.Before(wire.TCP, h.TCPSegment(2, wire.Payload(500)))
				first := h.Split(6, inner.Type(wire.TCP), payload, 104)
				packets := other.Split(6, wire.ICMPv6, payload, 104)
				packets[0] = first[0]
				want := h.Packet(inner.Type(wire.TCP), payload)
				for _, order := range arrangements {
					r := newRig(t, defrag.ZoneConfig{Policy: policy})
					f := r.deliver(want, arranged(packets, order(len(packets)))...)
					d := f.datagram
					if d.Identification != 6 || d.UnfragmentableLength != 40+before.Len() || !bytes.Equal(d.FragmentHeader[:], first[0][40+before.Len():][:8]) {
						t.Errorf("described as %+v", d)
					}
				}
				r := newRig(t, defrag.ZoneConfig{Policy: policy})
				whole := h.Fragment(wire.Fragment{ID: 6, Next: inner.Type(wire.TCP)}, payload)
				if f := r.gather(whole); !bytes.Equal(f.packet, want) {
					t.Errorf("atomic: %v\n%x\nwant\n%x", f.verdict, f.packet, want)
				}
			})
		})
	}
}

// deliverBuffers gathers buffers, which it takes over, and returns the
// datagram, the caller's.
func deliverBuffers(t *testing.T, e *defrag.Engine, buffers []buffer.Buffer) buffer.Buffer {
	t.Helper()
	for i := range buffers {
		verdict := e.Gather(&buffers[i], &defrag.Metadata{}, nil)
		if last := i == len(buffers)-1; last != (verdict == defrag.Reassembled) || !last && verdict != defrag.Held {
			t.Fatalf("fragment %d: %v", i, verdict)
		}
	}
	return buffers[len(buffers)-1]
}

// newEngine returns an engine that is closed when the test ends.
func newEngine(t *testing.T, cfg defrag.Config) *defrag.Engine {
	t.Helper()
	e, err := defrag.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// slices of b's views.
func slicesOf(b *buffer.Buffer) (all [][]byte) {
	b.Apply(func(v *buffer.View) { all = append(all, v.AsSlice()) })
	return all
}

// R25: the payload of ordinary fragments is delivered in the very memory they
// came in. The headers stand apart, in a small view of their own.
func TestDeliverTheVeryMemory(t *testing.T) {
	udp := peers.UDP(1, 2, wire.Payload(5000))
	packets := peers.Split(6, wire.UDPProtocol, udp, 1232)
	for name, order := range arrangements {
		t.Run("R25 "+name, func(t *testing.T) {
			e := newEngine(t, defrag.Config{})
			buffers := make([]buffer.Buffer, len(packets))
			at := make([]*byte, len(packets))
			for i, j := range order(len(packets)) {
				buffers[i] = buffer.MakeWithData(packets[j])
				skip := 48
				if j == 0 {
					skip += 8 // The UDP header goes into the view of headers.
				}
				at[j] = &slicesOf(&buffers[i])[0][skip]
			}
			b := deliverBuffers(t, e, buffers)
			defer b.Release()
			views := slicesOf(&b)
			if len(views) != 1+len(packets) || len(views[0]) != 48 || cap(views[0]) > 64 {
				t.Fatalf("%d views, the first of %d octets", len(views), len(views[0]))
			}
			for i, v := range views[1:] {
				if &v[0] != at[i] {
					t.Errorf("payload of fragment %d was copied", i)
				}
			}
		})
	}
	t.Run("R25 atomic", func(t *testing.T) {
		e := newEngine(t, defrag.Config{})
		b := buffer.MakeWithData(whole(wire.UDPProtocol, udp))
		defer b.Release()
		at := &slicesOf(&b)[0][56]
		if v := e.Gather(&b, &defrag.Metadata{}, nil); v != defrag.Atomic {
			t.Fatal(v)
		}
		views := slicesOf(&b)
		if len(views) != 2 || len(views[0]) != 48 || &views[1][0] != at {
			t.Errorf("%d views, the first of %d octets", len(views), len(views[0]))
		}
	})
}

// The first view holds all headers through the upper-layer header, options of
// TCP included, whatever the views of the fragment.
func TestDeliverHeadersApart(t *testing.T) {
	inner := chainOf(extension{wire.DestinationOptions, wire.Options(2)})
	for options := range 11 {
		h := extended()
		payload := inner.Before(wire.TCP, h.TCPSegment(options, wire.Payload(300)))
		want := 40 + 24 + 16 + 20 + 4*options
		for _, at := range []int{1, 48, 64, 100, 128, 140} {
			e := newEngine(t, defrag.Config{})
			var buffers []buffer.Buffer
			for _, p := range h.Split(6, inner.Type(wire.TCP), payload, 104) {
				buffers = append(buffers, viewsOf(p, at))
			}
			b := deliverBuffers(t, e, buffers)
			if got := len(slicesOf(&b)[0]); got != want {
				t.Errorf("R25 %d words of options, split at %d: first view of %d octets, want %d", options, at, got, want)
			}
			b.Release()
		}
	}
}

// R30: what travels with the datagram.
func TestDeliverMetadata(t *testing.T) {
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		for name, order := range arrangements {
			t.Run("R30 "+name, func(t *testing.T) {
				r := newRig(t, defrag.ZoneConfig{Policy: policy})
				udp := peers.UDP(1, 2, wire.Payload(16*9))
				all := pieces(t, 6, "0-16+ 16-32+ 32-80+ 80-96+ 96-104+ 104-112+ 112-120+ 120-152")
				starts := []uint16{0, 2, 4, 10, 12, 13, 14, 15}
				copy(content, udp)
				var last fate
				for i, j := range order(len(all)) {
					header, ok := defrag.MakeLinkHeader([]byte{byte(j), 1, 2})
					if !ok {
						t.Fatal("no link header")
					}
					r.clock.Advance(time.Second)
					last = r.gatherWith(all[j], defrag.Metadata{Zone: 5, Link: 8, LinkHeader: header, ChecksumVerified: true})
					if i < len(all)-1 && last.verdict != defrag.Held {
						t.Fatal(last.verdict)
					}
				}
				d := last.datagram
				m := d.Metadata
				if m.Zone != 5 || m.Link != 8 || !m.ChecksumVerified || m.Tag != last.tag || m.Handler != r {
					t.Errorf("metadata %+v", m)
				}
				if !bytes.Equal(m.LinkHeader.AsSlice(), []byte{0, 1, 2}) {
					t.Errorf("link header %x, want the first fragment's", m.LinkHeader.AsSlice())
				}
				if m.Arrival != r.clock.NowMonotonic() {
					t.Errorf("arrival %v, want now", m.Arrival)
				}
				if d.LargestPacket != 40+8+48 {
					t.Errorf("largest packet %d, want 96", d.LargestPacket)
				}
				if !slices.Equal(d.Boundaries, starts) {
					t.Errorf("boundaries %v, want %v", d.Boundaries, starts)
				}
			})
		}
	})
}

// R30: the largest fragment counts with its own headers, not the first's.
func TestDeliverLargestPacket(t *testing.T) {
	h := extended()
	for _, c := range []struct {
		name          string
		first, second wire.Header
		want          int
	}{
		{"first", h, peers, 40 + 24 + 8 + 16}, {"later", peers, h, 40 + 24 + 8 + 16}, {"last", peers, peers, 40 + 8 + 16},
	} {
		r := newRig(t, defrag.ZoneConfig{})
		r.hold(long(t, "0-16+", c.first, c.second))
		f := r.gather(long(t, "16-32", c.first, c.second))
		if f.datagram.LargestPacket != c.want {
			t.Errorf("R30 %s: %d, want %d", c.name, f.datagram.LargestPacket, c.want)
		}
	}
}

// R30: the arrival that the caller names is the caller's; and a checksum is
// verified only if every fragment's was.
func TestDeliverArrivalAndChecksum(t *testing.T) {
	all := pieces(t, 6, "0-16+ 16-32+ 32-40")
	for unverified := -1; unverified < len(all); unverified++ {
		r := newRig(t, defrag.ZoneConfig{})
		var last fate
		for i, p := range all {
			arrival := tcpip.MonotonicTime{}.Add(time.Hour + time.Duration(i)*time.Second)
			last = r.gatherWith(p, defrag.Metadata{Arrival: arrival, ChecksumVerified: i != unverified})
		}
		m := last.datagram.Metadata
		if m.ChecksumVerified != (unverified == -1) {
			t.Errorf("R31 fragment %d not verified: the datagram is %v", unverified, m.ChecksumVerified)
		}
		if want := (tcpip.MonotonicTime{}).Add(time.Hour + 2*time.Second); m.Arrival != want {
			t.Errorf("R30 arrival %v, want the last fragment's", m.Arrival)
		}
	}
}

// R30: the description of an atomic fragment.
func TestDeliverAtomicMetadata(t *testing.T) {
	r := newRig(t, defrag.ZoneConfig{})
	h := extended()
	header, _ := defrag.MakeLinkHeader([]byte{7})
	packet := h.Fragment(wire.Fragment{ID: 6, Next: wire.UDPProtocol}, content[:16])
	f := r.gatherWith(packet, defrag.Metadata{Zone: 5, Link: 8, LinkHeader: header, ChecksumVerified: true})
	d := f.datagram
	m := d.Metadata
	if m.Zone != 5 || m.Link != 8 || !m.ChecksumVerified || m.Tag != f.tag || m.Handler != r || m.Arrival != r.clock.NowMonotonic() ||
		!bytes.Equal(m.LinkHeader.AsSlice(), []byte{7}) {
		t.Errorf("metadata %+v", m)
	}
	if d.Identification != 6 || d.UnfragmentableLength != 64 || d.LargestPacket != 64+8+16 || !slices.Equal(d.Boundaries, []uint16{0}) ||
		!bytes.Equal(d.FragmentHeader[:], packet[64:72]) {
		t.Errorf("described as %+v", d)
	}
}

// A Datagram is filled in anew each time, in the memory it has.
func TestDeliverReusesDescription(t *testing.T) {
	e := newEngine(t, defrag.Config{})
	var d defrag.Datagram
	for i, sizes := range []int{8, 64, 8, 32} {
		udp := peers.UDP(1, 2, wire.Payload(120))
		var b buffer.Buffer
		for _, p := range peers.Split(uint32(i), wire.UDPProtocol, udp, sizes) {
			b = buffer.MakeWithData(p)
			e.Gather(&b, &defrag.Metadata{}, &d)
		}
		b.Release()
		if want := (128 + sizes - 1) / sizes; len(d.Boundaries) != want || cap(d.Boundaries) < 16 || d.Identification != uint32(i) {
			t.Errorf("%s: %d boundaries in room for %d, want %d", fmt.Sprint(sizes), len(d.Boundaries), cap(d.Boundaries), want)
		}
	}
}
