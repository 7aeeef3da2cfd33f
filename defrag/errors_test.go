package defrag_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// R34: no error when fragments go away for another reason than time, though
// the first fragment is held.
func TestSilence(t *testing.T) {
	for _, c := range []struct {
		name   string
		config defrag.Config
		away   func(e *defrag.Engine)
		want   defrag.Verdict
	}{
		{"R34 close", defrag.Config{}, (*defrag.Engine).Close, defrag.Flushed},
		{"R34 zone removed", defrag.Config{}, func(e *defrag.Engine) { e.RemoveZone(1) }, defrag.Flushed},
		{"R34 link flushed", defrag.Config{}, func(e *defrag.Engine) { e.FlushLink(2) }, defrag.Flushed},
		{"R34 eviction", defrag.Config{}, func(e *defrag.Engine) { e.SetZone(1, defrag.ZoneConfig{High: 1, Low: 1}) }, defrag.Evicted},
	} {
		t.Run(c.name, func(t *testing.T) {
			forPolicies(t, func(t *testing.T, policy defrag.Policy) {
				c.config.Zone.Policy = policy
				r := newRigOf(t, c.config)
				for _, p := range pieces(t, 1, "0-16+ 32-48+ 64-80+") {
					if f := r.gatherWith(p, defrag.Metadata{Zone: 1, Link: 2}); f.verdict != defrag.Held {
						t.Fatal(f.verdict)
					}
				}
				c.away(r.engine)
				r.wantDrops(c.want, 3, defrag.ICMPError{})
				r.wantHeld(0, 0)
				r.clock.Advance(time.Hour)
				r.wantDrops(c.want, 0, defrag.ICMPError{})
			})
		})
	}
}

// Only the zone, or the link, that goes away loses what it holds.
func TestFlushSparesOthers(t *testing.T) {
	for name, away := range map[string]func(e *defrag.Engine){
		"zone": func(e *defrag.Engine) { e.RemoveZone(3) },
		"link": func(e *defrag.Engine) { e.FlushLink(3) },
	} {
		t.Run("R34 "+name, func(t *testing.T) {
			r := newRig(t, defrag.ZoneConfig{})
			const each = 200
			for i := range uint32(5) {
				for id := range uint32(each) {
					r.gatherWith(piece(t, id+each*i, "0-16+"), defrag.Metadata{Zone: defrag.Zone(i), Link: i})
				}
			}
			away(r.engine)
			r.wantDrops(defrag.Flushed, each, defrag.ICMPError{})
			r.wantHeld(4*each, 4*each)
			for _, z := range r.engine.Stats().Zones {
				if want := map[bool]uint64{true: 0, false: each}[z.Zone == 3]; z.Queues != want {
					t.Errorf("zone %d: %d queues, want %d", z.Zone, z.Queues, want)
				}
			}
		})
	}
}

// After Close fragments are dropped, atomic ones included; other packets pass.
func TestClosed(t *testing.T) {
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		r := newRig(t, defrag.ZoneConfig{Policy: policy})
		r.engine.Close()
		r.engine.Close()
		for _, s := range []string{"0-16+", "16-32", "0-16"} {
			if f := r.gather(piece(t, 1, s)); f.verdict != defrag.EngineClosed {
				t.Errorf("%s: %v, want engine-closed", s, f.verdict)
			}
		}
		r.wantDrops(defrag.EngineClosed, 3, defrag.ICMPError{})
		if f := r.gather(peers.Packet(wire.UDPProtocol, content[:8])); f.verdict != defrag.Passed {
			t.Errorf("%v, want passed", f.verdict)
		}
		r.wantHeld(0, 0)
	})
}

// R37: caps, and what is beyond them.
func TestCaps(t *testing.T) {
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		t.Run("R37 fragments", func(t *testing.T) {
			r := newRig(t, defrag.ZoneConfig{Policy: policy, MaxFragments: 3})
			r.deliver(datagram(40), pieces(t, 1, "0-16+ 16-32+ 32-40")...)
			for _, fourth := range []string{"48-64+", "48-50"} {
				r.hold(pieces(t, 1, "0-16+ 16-32+ 32-48+")...)
				if f := r.gather(piece(t, 1, fourth)); f.verdict != defrag.TooManyFragments {
					t.Errorf("%v, want too-many-fragments", f.verdict)
				}
				r.wantDrops(defrag.TooManyFragments, 4, defrag.ICMPError{})
				r.wantHeld(0, 0)
			}
		})
		t.Run("R37 datagrams", func(t *testing.T) {
			r := newRig(t, defrag.ZoneConfig{Policy: policy, MaxDatagrams: 2})
			r.hold(piece(t, 1, "0-16+"), piece(t, 2, "0-16+"))
			if f := r.gather(piece(t, 3, "0-16+")); f.verdict != defrag.TooManyDatagrams {
				t.Errorf("%v, want too-many-datagrams", f.verdict)
			}
			r.wantDrops(defrag.TooManyDatagrams, 1, defrag.ICMPError{})
			r.wantHeld(2, 2)
			if f := r.gatherWith(piece(t, 3, "0-16+"), defrag.Metadata{Zone: 1}); f.verdict != defrag.Held {
				t.Errorf("another zone: %v", f.verdict)
			}
			r.hold(piece(t, 1, "16-32+"))
			r.deliver(datagram(40), piece(t, 1, "32-40"))
			r.hold(piece(t, 3, "0-16+"))
		})
	})
}

func TestCapOfZones(t *testing.T) {
	t.Run("R37 in use", func(t *testing.T) {
		r := newRigOf(t, defrag.Config{MaxZones: 2})
		in := func(zone defrag.Zone, s string) defrag.Verdict {
			return r.gatherWith(piece(t, 1, s), defrag.Metadata{Zone: zone}).verdict
		}
		if a, b := in(1, "0-16+"), in(2, "0-16+"); a != defrag.Held || b != defrag.Held {
			t.Fatal(a, b)
		}
		for _, s := range []string{"0-16+", "0-16"} {
			if v := in(3, s); v != defrag.TooManyZones {
				t.Errorf("%s: %v, want too-many-zones", s, v)
			}
		}
		r.wantDrops(defrag.TooManyZones, 2, defrag.ICMPError{})
		// A packet that is no fragment needs no zone.
		if f := r.gatherWith(peers.Packet(17, content[:8]), defrag.Metadata{Zone: 3}); f.verdict != defrag.Passed {
			t.Errorf("%v, want passed", f.verdict)
		}
		// A zone that holds nothing makes room.
		if v := in(1, "16-20"); v != defrag.Reassembled {
			t.Fatal(v)
		}
		if v := in(3, "0-16+"); v != defrag.Held {
			t.Errorf("%v, want held", v)
		}
		if _, known := r.engine.ZoneStats(1); known {
			t.Error("the idle zone is still known")
		}
	})
	t.Run("R37 declared", func(t *testing.T) {
		r := newRigOf(t, defrag.Config{MaxZones: 2})
		for zone := range defrag.Zone(2) {
			if err := r.engine.SetZone(zone, defrag.ZoneConfig{}); err != nil {
				t.Fatal(err)
			}
		}
		err := r.engine.SetZone(2, defrag.ZoneConfig{})
		if !errors.Is(err, defrag.ErrTooManyZones) || !strings.Contains(err.Error(), "zone 2") || !strings.Contains(err.Error(), "limit is 2") {
			t.Errorf("%v", err)
		}
		if f := r.gatherWith(piece(t, 1, "0-16+"), defrag.Metadata{Zone: 2}); f.verdict != defrag.TooManyZones {
			t.Errorf("declared zones were forgotten: %v", f.verdict)
		}
		r.engine.RemoveZone(0)
		if err := r.engine.SetZone(2, defrag.ZoneConfig{}); err != nil {
			t.Error(err)
		}
	})
}

// R36 and the like: errors name the field, the values and what is wrong; and
// nothing changes.
func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		config defrag.ZoneConfig
		words  []string
	}{
		{"R36 low above high", defrag.ZoneConfig{High: 1000, Low: 1001}, []string{"low", "1001", "high", "1000"}},
		{"R36 low above the default high", defrag.ZoneConfig{Low: 5 << 20}, []string{"low", "5242880", "high", "4194304"}},
		{"timeout", defrag.ZoneConfig{Timeout: -time.Second}, []string{"timeout", "-1s"}},
		{"fragments", defrag.ZoneConfig{MaxFragments: -1}, []string{"fragments", "-1"}},
		{"datagrams", defrag.ZoneConfig{MaxDatagrams: -2}, []string{"datagrams", "-2"}},
		{"policy", defrag.ZoneConfig{Policy: 9}, []string{"policy", "9", "rfc8200", "rfc5722", "linux"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := defrag.New(defrag.Config{Zone: c.config})
			wantWords(t, err, append(c.words, "configuration"))
			r := newRig(t, defrag.ZoneConfig{})
			before := defrag.ZoneConfig{Policy: defrag.Linux, High: 900, Low: 800, Timeout: time.Second, MaxFragments: 4, MaxDatagrams: 5}
			if err := r.engine.SetZone(7, before); err != nil {
				t.Fatal(err)
			}
			wantWords(t, r.engine.SetZone(7, c.config), append(c.words, "zone 7"))
			if z, ok := r.engine.ZoneStats(7); !ok || z.Config != before {
				t.Errorf("configuration is now %+v", z.Config)
			}
		})
	}
	_, err := defrag.New(defrag.Config{MaxZones: -3})
	wantWords(t, err, []string{"zones", "-3"})
}

func wantWords(t *testing.T, err error, words []string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not name %q", err, w)
		}
	}
}

// Zero fields stand for the defaults.
func TestConfigDefaults(t *testing.T) {
	r := newRig(t, defrag.ZoneConfig{})
	defaults := defrag.ZoneConfig{High: defrag.DefaultHigh, Low: defrag.DefaultLow, Timeout: defrag.DefaultTimeout}
	for _, c := range []struct{ set, want defrag.ZoneConfig }{
		{defrag.ZoneConfig{}, defaults},
		{defrag.ZoneConfig{High: 1 << 20}, defrag.ZoneConfig{High: 1 << 20, Low: 3 << 18, Timeout: defrag.DefaultTimeout}},
		{defrag.ZoneConfig{High: 5, Low: 5}, defrag.ZoneConfig{High: 5, Low: 5, Timeout: defrag.DefaultTimeout}},
		{defrag.ZoneConfig{Low: 1 << 20}, defrag.ZoneConfig{High: defrag.DefaultHigh, Low: 1 << 20, Timeout: defrag.DefaultTimeout}},
	} {
		if err := r.engine.SetZone(1, c.set); err != nil {
			t.Fatal(err)
		}
		if z, _ := r.engine.ZoneStats(1); z.Config != c.want {
			t.Errorf("%+v stands for %+v, want %+v", c.set, z.Config, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	seen := make(map[string]bool)
	for v := defrag.Passed; v < defrag.NumVerdicts; v++ {
		if s := v.String(); s == "" || seen[s] {
			t.Errorf("verdict %d is called %q", v, s)
		} else {
			seen[s] = true
		}
		if drop := v > defrag.Atomic; v.IsDrop() != drop {
			t.Errorf("%v: IsDrop is %v", v, v.IsDrop())
		}
	}
	if s := defrag.NumVerdicts.String(); s != "Verdict(31)" {
		t.Errorf("%q", s)
	}
	for _, p := range policies {
		if q, err := defrag.ParsePolicy(p.String()); err != nil || q != p {
			t.Errorf("%v is read as %v, %v", p, q, err)
		}
	}
	_, err := defrag.ParsePolicy("bsd")
	wantWords(t, err, []string{`"bsd"`, "rfc8200", "rfc5722", "linux"})
	if s := defrag.Policy(9).String(); s != "Policy(9)" {
		t.Errorf("%q", s)
	}
}

func TestLinkHeader(t *testing.T) {
	for n := range defrag.MaxLinkHeader + 3 {
		octets := wire.Payload(n)
		h, ok := defrag.MakeLinkHeader(octets)
		want := string(octets)
		if n > defrag.MaxLinkHeader {
			want = ""
		}
		if ok != (n <= defrag.MaxLinkHeader) || string(h.AsSlice()) != want || h.Len() != len(want) {
			t.Errorf("%d octets: %v, %x", n, ok, h.AsSlice())
		}
	}
}
