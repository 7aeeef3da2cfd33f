package defrag_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// reassemblyTime is Time Exceeded, fragment reassembly time exceeded
// (RFC 4443 section 3.3).
var reassemblyTime = defrag.ICMPError{Type: 3, Code: 1}

// R32: the time runs from the first fragment to arrive, whichever it is, and
// later ones do not refresh it; the datagram is there a tick before its end,
// and gone at most a tenth after.
func TestTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Millisecond, time.Second, 2500 * time.Millisecond, time.Hour} {
		t.Run(fmt.Sprintf("R32 %v", timeout), func(t *testing.T) {
			forPolicies(t, func(t *testing.T, policy defrag.Policy) {
				full := timeout
				if full == 0 {
					full = 60 * time.Second
				}
				r := newRig(t, defrag.ZoneConfig{Policy: policy, Timeout: timeout})
				r.hold(piece(t, 1, "16-32+"))
				r.clock.Advance(full / 2)
				r.hold(piece(t, 1, "32-48+"))
				r.clock.Advance(full - full/2 - 1)
				r.hold(piece(t, 1, "48-64+"))
				r.wantHeld(1, 3)
				r.wantDrops(defrag.TimedOut, 0, defrag.ICMPError{})
				r.clock.Advance(1 + full/10)
				r.wantHeld(0, 0)
				r.wantDrops(defrag.TimedOut, 3, defrag.ICMPError{})

				// Nothing is remembered.
				r.deliver(datagram(20), pieces(t, 1, "0-16+ 16-20")...)
			})
		})
	}
}

// R32: a datagram that completes a tick before its end is delivered.
func TestTimeoutJustMissed(t *testing.T) {
	r := newRig(t, defrag.ZoneConfig{})
	r.hold(piece(t, 1, "0-16+"))
	r.clock.Advance(defrag.DefaultTimeout - 1)
	r.deliver(datagram(20), piece(t, 1, "16-20"))
	r.clock.Advance(time.Hour)
	if d := r.take(); len(d) != 0 {
		t.Errorf("R32 told of %v", d)
	}
}

// R32: many datagrams, each with a time of its own, all kept and none late.
// Between them the timer is armed again and again.
func TestTimeoutsInTurn(t *testing.T) {
	r := newRig(t, defrag.ZoneConfig{Timeout: time.Second})
	const n = 500
	const step = 10 * time.Millisecond
	for id := range n {
		r.hold(piece(t, uint32(id), "0-16+"))
		r.clock.Advance(step)
		if alive := uint64(min(id+1, int(time.Second/step)-1)); id%50 == 0 || id > n-3 {
			r.wantHeld(alive, alive)
		}
	}
	r.clock.Advance(time.Second)
	r.wantHeld(0, 0)
	r.wantDrops(defrag.TimedOut, n, reassemblyTime)
}

// R32: several timeouts side by side, whichever came first.
func TestTimeoutsSideBySide(t *testing.T) {
	timeouts := []time.Duration{time.Second, time.Hour, 20 * time.Millisecond, time.Minute, 2 * time.Second}
	r := newRig(t, defrag.ZoneConfig{})
	for zone, timeout := range timeouts {
		if err := r.engine.SetZone(defrag.Zone(zone), defrag.ZoneConfig{Timeout: timeout}); err != nil {
			t.Fatal(err)
		}
	}
	const each = 200 // So that every shard has some of every timeout.
	for id := range each {
		for zone := range timeouts {
			if f := r.gatherWith(piece(t, uint32(id), "0-16+"), defrag.Metadata{Zone: defrag.Zone(zone)}); f.verdict != defrag.Held {
				t.Fatal(f.verdict)
			}
		}
	}
	var now time.Duration
	for _, zone := range []int{2, 0, 4, 3, 1} { // By timeout.
		before, _ := r.engine.ZoneStats(defrag.Zone(zone))
		r.clock.Advance(timeouts[zone] - 1 - now)
		now = timeouts[zone] - 1
		if early, _ := r.engine.ZoneStats(defrag.Zone(zone)); before.Queues != each || early.Queues != each {
			t.Errorf("R32 %v: %d of %d queues a tick before", timeouts[zone], early.Queues, each)
		}
		late := 1 + timeouts[zone]/10
		r.clock.Advance(late)
		now += late
		if after, _ := r.engine.ZoneStats(defrag.Zone(zone)); after.Queues != 0 {
			t.Errorf("R32 %v: %d queues a tenth after", timeouts[zone], after.Queues)
		}
		r.wantDrops(defrag.TimedOut, each, reassemblyTime)
	}
}

// R32: a new timeout holds for new datagrams, shorter or longer.
func TestTimeoutChanged(t *testing.T) {
	for _, changed := range []time.Duration{time.Second, time.Hour} {
		t.Run(fmt.Sprintf("R32 from a minute to %v", changed), func(t *testing.T) {
			r := newRig(t, defrag.ZoneConfig{})
			const each = 200
			for id := range uint32(each) {
				r.hold(piece(t, id, "0-16+"))
			}
			if err := r.engine.SetZone(0, defrag.ZoneConfig{Timeout: changed}); err != nil {
				t.Fatal(err)
			}
			for id := range uint32(each) {
				r.hold(piece(t, id+each, "0-16+"))
				r.hold(piece(t, id, "16-32+"))
			}
			r.wantHeld(2*each, 3*each)
			first, second := min(time.Minute, changed), max(time.Minute, changed)
			r.clock.Advance(first - 1)
			r.wantHeld(2*each, 3*each)
			r.clock.Advance(1 + first/10)
			if s := r.engine.Stats().Total; s.Queues != each {
				t.Errorf("%d queues after the first, want %d", s.Queues, each)
			}
			r.clock.Advance(second - 2 - first - first/10)
			if s := r.engine.Stats().Total; s.Queues != each {
				t.Errorf("%d queues before the second, want %d", s.Queues, each)
			}
			r.clock.Advance(2 + second/10)
			r.wantHeld(0, 0)
		})
	}
}

// R32: the arrival that the caller names is what the time runs from.
func TestTimeoutFromArrival(t *testing.T) {
	r := newRig(t, defrag.ZoneConfig{})
	past := r.clock.NowMonotonic().Add(-10 * time.Second)
	if f := r.gatherWith(piece(t, 1, "0-16+"), defrag.Metadata{Arrival: past}); f.verdict != defrag.Held {
		t.Fatal(f.verdict)
	}
	r.clock.Advance(50*time.Second - 1)
	r.wantHeld(1, 1)
	r.clock.Advance(1)
	r.wantHeld(0, 0)
}

// R33: the error quotes the first fragment as received, all headers before the
// Fragment header included, less padding; R34: the others are not worth one.
func TestTimeoutQuotes(t *testing.T) {
	h := extended()
	h.TrafficClass, h.FlowLabel, h.HopLimit = 0xb9, 0x12345, 3
	padding := bytes.Repeat([]byte{0xee}, 30)
	for _, size := range []int{8, 64, 1232, 16000} {
		for _, capacity := range []int{0, 65536} {
			for _, before := range []int{0, 1, 12} {
				t.Run(fmt.Sprintf("R33 %d octets in %d, %d before", size, capacity, before), func(t *testing.T) {
					forPolicies(t, func(t *testing.T, policy defrag.Policy) {
						r := newRig(t, defrag.ZoneConfig{Policy: policy})
						for i := range before {
							r.hold(peers.Fragment(wire.Fragment{ID: 1, Offset: 32000 + 16*i, More: true}, content[:8]))
						}
						first := h.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, content[:size])
						first[65] = 0xaa // Reserved bits come back as they were.
						first[67] |= 6
						padded := append(bytes.Clone(first), padding...)
						b := chunked(padded, capacity, false)
						if f := r.gatherBuffer(&b, padded, defrag.Metadata{}); f.verdict != defrag.Held {
							t.Fatal(f.verdict)
						}
						r.hold(peers.Fragment(wire.Fragment{ID: 1, Offset: 17000, More: true}, content[:16]))
						r.clock.Advance(defrag.DefaultTimeout)
						quoted := 0
						for _, d := range r.take() {
							if d.verdict != defrag.TimedOut {
								t.Errorf("told %v", d.verdict)
							}
							if d.owed == (defrag.ICMPError{}) {
								continue
							}
							quoted++
							if d.owed != reassemblyTime || !bytes.Equal(d.packet, first) {
								t.Errorf("error %v quotes\n%s, want\n%s", d.owed, brief(d.packet), brief(first))
							}
						}
						if quoted != 1 {
							t.Errorf("%d errors, want 1", quoted)
						}
					})
				})
			}
		}
	}
}

// What a drop is told with: the metadata of its datagram, and its own tag.
func TestTimeoutMetadata(t *testing.T) {
	r := newRig(t, defrag.ZoneConfig{})
	header, _ := defrag.MakeLinkHeader([]byte{1, 2, 3})
	meta := defrag.Metadata{Zone: 3, Link: 4, LinkHeader: header, ChecksumVerified: true}
	tags := make(map[uint64]bool)
	for i := range 300 {
		f := r.gatherWith(peers.Fragment(wire.Fragment{ID: 1, Next: 17, Offset: 8 * i, More: true}, content[8*i:8*i+8]), meta)
		if f.verdict != defrag.Held {
			t.Fatal(f.verdict)
		}
		tags[f.tag] = true
	}
	r.clock.Advance(defrag.DefaultTimeout)
	drops := r.take()
	for _, d := range drops {
		delete(tags, d.meta.Tag)
		if d.meta.Zone != 3 || d.meta.Link != 4 || !bytes.Equal(d.meta.LinkHeader.AsSlice(), []byte{1, 2, 3}) {
			t.Fatalf("told with %+v", d.meta)
		}
	}
	if len(drops) != 300 || len(tags) != 0 {
		t.Errorf("%d drops told, %d tags missing", len(drops), len(tags))
	}
}

// The link header is that of the first fragment; while it is not there, that
// of the first to arrive which has one. None is left over from another
// datagram.
func TestTimeoutLinkHeader(t *testing.T) {
	header := func(octets ...byte) (h defrag.LinkHeader) {
		h, _ = defrag.MakeLinkHeader(octets)
		return h
	}
	type arrival struct {
		piece  string
		header defrag.LinkHeader
	}
	for _, c := range []struct {
		name     string
		arrivals []arrival
		want     string
	}{
		{"first", []arrival{{"16-32+", header(1)}, {"0-16+", header(2)}, {"32-48+", header(3)}}, "\x02"},
		{"no first", []arrival{{"16-32+", header(1)}, {"32-48+", header(3)}}, "\x01"},
		{"none at first", []arrival{{"16-32+", header()}, {"32-48+", header(3)}}, "\x03"},
		{"none", []arrival{{"16-32+", header()}, {"0-16+", header()}}, ""},
	} {
		t.Run("R30 "+c.name, func(t *testing.T) {
			r := newRig(t, defrag.ZoneConfig{})
			for range 4 { // Queues are used again.
				for _, a := range c.arrivals {
					r.gatherWith(piece(t, 1, a.piece), defrag.Metadata{LinkHeader: a.header})
				}
				r.clock.Advance(defrag.DefaultTimeout)
				drops := r.take()
				if len(drops) != len(c.arrivals) {
					t.Errorf("%d drops", len(drops))
				}
				for _, d := range drops {
					if got := string(d.meta.LinkHeader.AsSlice()); got != c.want {
						t.Errorf("link header %q, want %q", got, c.want)
					}
				}
			}
		})
	}
}

// A tally is a handler that counts.
type tally struct{ drops int }

func (c *tally) HandleDrop(*defrag.Drop) { c.drops++ }

// The handler of the first fragment is told of all; while it is not there,
// that of the first to arrive which has one.
func TestTimeoutHandler(t *testing.T) {
	var a, b, c tally
	for _, s := range []struct {
		name     string
		handlers []defrag.Handler // of pieces
		pieces   []string
		told     *tally
	}{
		{"first", []defrag.Handler{&a, &b, &c}, []string{"16-32+", "0-16+", "32-48+"}, &b},
		{"no first", []defrag.Handler{&a, &b, &c}, []string{"16-32+", "32-48+", "48-64+"}, &a},
		{"none at first", []defrag.Handler{nil, &b, &c}, []string{"16-32+", "32-48+", "48-64+"}, &b},
	} {
		clock := faketime.NewManualClock()
		e := newEngine(t, defrag.Config{Clock: clock})
		a, b, c = tally{}, tally{}, tally{}
		for i, p := range s.pieces {
			buf := buffer.MakeWithData(piece(t, 1, p))
			if v := e.Gather(&buf, &defrag.Metadata{Handler: s.handlers[i]}, nil); v != defrag.Held {
				t.Fatal(v)
			}
		}
		clock.Advance(defrag.DefaultTimeout)
		if s.told.drops != 3 || a.drops+b.drops+c.drops != 3 {
			t.Errorf("%s: told %d, %d, %d times", s.name, a.drops, b.drops, c.drops)
		}
	}
}

// A timeout past the end of time never comes, whatever times out beside it.
func TestLongestTimeout(t *testing.T) {
	clock := faketime.NewManualClock()
	clock.Advance(time.Hour)
	e, err := defrag.New(defrag.Config{Clock: clock, Zone: defrag.ZoneConfig{Timeout: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.SetZone(1, defrag.ZoneConfig{Timeout: math.MaxInt64}); err != nil {
		t.Fatal(err)
	}
	const each = 1000 // enough for every shard to have one
	for zone := range defrag.Zone(2) {
		for id := range uint32(each) {
			packet := buffer.MakeWithData(peers.Split(id, wire.UDPProtocol, wire.Payload(64), 32)[0])
			if v := e.Gather(&packet, &defrag.Metadata{Zone: zone}, nil); v != defrag.Held {
				t.Fatal(v)
			}
		}
	}
	clock.Advance(10000 * time.Hour)
	if s := e.Stats(); s.Zones[0].Queues != 0 || s.Zones[1].Queues != each {
		t.Errorf("%d and %d queues are left, want 0 and %d", s.Zones[0].Queues, s.Zones[1].Queues, each)
	}
}
