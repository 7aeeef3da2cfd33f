package capture_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/capture"
	"github.com/v6stack/v6stack/internal/wire"
)

// timed returns a raw capture of packets at the given seconds.
func timed(packets ...packetAt) []byte {
	f := newPcapFile(capture.Raw)
	octets := f.header()
	for _, p := range packets {
		octets = append(octets, f.packet(p)...)
	}
	return octets
}

// reasons returns the packet numbers lost, by reason.
func (r result) reasons() map[defrag.Verdict][]uint64 {
	lost := map[defrag.Verdict][]uint64{}
	for _, l := range r.losses {
		lost[l.Reason] = append(lost[l.Reason], l.Packet)
	}
	for _, packets := range lost {
		slices.Sort(packets)
	}
	return lost
}

// mustLose fails unless exactly these packets are lost for reason.
func (r result) mustLose(t *testing.T, reason defrag.Verdict, packets ...uint64) {
	t.Helper()
	got := r.reasons()
	if len(got) != 1 || !slices.Equal(got[reason], packets) {
		t.Errorf("lost %v: want %v %v", got, reason, packets)
	}
}

// TestTimeouts takes the time from the capture.
func TestTimeouts(t *testing.T) {
	whole, fragments := echo(hosts, 1, 2000, 1448)
	a, b := fragments[0], fragments[1]
	for name, c := range map[string]struct {
		seconds [2]uint32
		timeout time.Duration
		whole   bool
	}{
		"just in time":      {[2]uint32{1000, 1059}, 0, true},
		"too late":          {[2]uint32{1000, 1067}, 0, false},
		"long too late":     {[2]uint32{0, 4294967295}, 0, false},
		"short timeout":     {[2]uint32{1000, 1003}, 2 * time.Second, false},
		"long timeout":      {[2]uint32{1000, 1100}, 2 * time.Minute, true},
		"time goes back":    {[2]uint32{1000, 900}, 0, true},
		"time goes back on": {[2]uint32{1000, 1}, time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			in := timed(packetAt{seconds: c.seconds[0], data: a}, packetAt{seconds: c.seconds[1], data: b})
			r := defragment(t, in, capture.Options{Zone: defrag.ZoneConfig{Timeout: c.timeout}})
			if c.whole {
				r.mustBe(t, timed(packetAt{seconds: c.seconds[1], data: whole}))
				return
			}
			r.mustBe(t, timed())
			want := map[defrag.Verdict][]uint64{defrag.TimedOut: {1}, defrag.Flushed: {2}}
			if got := r.reasons(); len(got) != 2 || got[defrag.TimedOut][0] != 1 || got[defrag.Flushed][0] != 2 {
				t.Errorf("lost %v, want %v", got, want)
			}
		})
	}
}

// TestClockStandsStill goes on from the latest time after a step back.
func TestClockStandsStill(t *testing.T) {
	_, fragments := echo(hosts, 1, 4000, 1448)
	other := hosts.Packet(wire.UDPProtocol, hosts.UDP(1, 2, nil))
	r := defragment(t, timed(
		packetAt{seconds: 1000, data: other},
		packetAt{seconds: 10, data: fragments[0]}, // arrives at 1000
		packetAt{seconds: 1059, data: fragments[1]},
		packetAt{seconds: 1067, data: fragments[2]},
	), capture.Options{})
	got := r.reasons()
	if !slices.Equal(got[defrag.TimedOut], []uint64{2, 3}) || !slices.Equal(got[defrag.Flushed], []uint64{4}) {
		t.Errorf("lost %v", got)
	}
}

// TestLosses lists what is left out, and why.
func TestLosses(t *testing.T) {
	_, fragments := echo(hosts, 0xabcd, 4000, 1448)
	other := hosts.Packet(wire.UDPProtocol, hosts.UDP(1, 2, nil))
	overlap := hosts.Fragment(wire.Fragment{ID: 0xabcd, Next: wire.ICMPv6, Offset: 8, More: true}, make([]byte, 1448))
	for name, c := range map[string]struct {
		packets []packetAt
		reason  defrag.Verdict
		lost    []uint64
		kept    int // of other
	}{
		"incomplete":         {[]packetAt{{data: fragments[0]}, {data: other}, {data: fragments[2]}}, defrag.Flushed, []uint64{1, 3}, 1},
		"overlap":            {[]packetAt{{data: other}, {data: fragments[0]}, {data: overlap}}, defrag.Overlap, []uint64{2, 3}, 1},
		"cut by snap length": {[]packetAt{{data: fragments[0][:96], original: 1500}, {data: other}}, defrag.TruncatedPacket, []uint64{1}, 1},
		"cut in the header":  {[]packetAt{{data: fragments[0][:44], original: 1500}, {data: other}}, defrag.TruncatedHeader, []uint64{1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := defragment(t, timed(c.packets...), capture.Options{})
			r.mustBe(t, timed(slices.Repeat([]packetAt{{data: other}}, c.kept)...))
			r.mustLose(t, c.reason, c.lost...)
		})
	}
	r := defragment(t, timed(packetAt{data: fragments[1]}), capture.Options{})
	want := capture.Loss{
		Packet: 1, Reason: defrag.Flushed, Source: hosts.Source, Destination: hosts.Destination, Known: true,
		Fragment: capture.Fragment{Identification: 0xabcd, Offset: 1448, Length: 1448, More: true},
	}
	if len(r.losses) != 1 || r.losses[0] != want {
		t.Errorf("losses %+v\nwant %+v", r.losses, want)
	}
}

// TestPolicies follows the overlap policy.
func TestPolicies(t *testing.T) {
	whole, fragments := echo(hosts, 1, 2000, 1448)
	in := timed(packetAt{data: fragments[0]}, packetAt{data: fragments[0]}, packetAt{data: fragments[1]})
	r := defragment(t, in, capture.Options{})
	r.mustBe(t, timed(packetAt{data: whole}))
	r.mustLose(t, defrag.Duplicate, 2)
	r = defragment(t, in, capture.Options{Zone: defrag.ZoneConfig{Policy: defrag.RFC5722}})
	r.mustBe(t, timed())
	if got := r.reasons(); !slices.Equal(got[defrag.DuplicateDiscard], []uint64{1, 2}) || !slices.Equal(got[defrag.AfterDiscard], []uint64{3}) {
		t.Errorf("lost %v", got)
	}
	unaligned := hosts.Fragment(wire.Fragment{ID: 1, Next: wire.ICMPv6, Offset: 1448, More: true}, make([]byte, 9))
	r = defragment(t, timed(packetAt{data: fragments[0]}, packetAt{data: unaligned}), capture.Options{Zone: defrag.ZoneConfig{Policy: defrag.Linux}})
	r.mustBe(t, timed(packetAt{data: unaligned}))
	r.mustLose(t, defrag.UnalignedDiscard, 1)
}

// TestAtomic cuts the Fragment header out.
func TestAtomic(t *testing.T) {
	whole, fragments := echo(hosts, 1, 100, 1448)
	r := defragment(t, timed(packetAt{seconds: 5, data: fragments[0]}), capture.Options{})
	r.mustBe(t, timed(packetAt{seconds: 5, data: whole}))
	if r.counts.Atomic != 1 {
		t.Errorf("counts %+v", r.counts)
	}
}

// TestZones keeps fragments of different interfaces or VLANs apart.
func TestZones(t *testing.T) {
	whole, fragments := echo(hosts, 1, 2000, 1448)
	f := littleNG
	tagged := func(id byte, packet []byte) []byte {
		return join([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x81\x00\x00"), []byte{id}, []byte("\x86\xdd"), packet)
	}
	urgent := func(id byte, packet []byte) []byte {
		frame := tagged(id, packet)
		frame[14] |= 0xe0 // priority
		return frame
	}
	untagged := func(packet []byte) []byte { return join(frames[4].header, packet) }
	cooked := func(id byte, packet []byte) []byte {
		header := bytes.Clone(frames[10].header)
		header[7] = id
		return join(header, packet)
	}
	interfaces := func(first, second uint32) []byte {
		return join(f.section(), f.iface(capture.Raw, 0), f.iface(capture.Raw, 0),
			f.enhanced(first, packetAt{data: fragments[0]}), f.enhanced(second, packetAt{data: fragments[1]}))
	}
	sections := join(
		f.section(), f.iface(capture.Raw, 0), f.enhanced(0, packetAt{data: fragments[0]}),
		f.section(), f.iface(capture.Raw, 0), f.enhanced(0, packetAt{data: fragments[1]}))
	ethernet, sll2 := newPcapFile(capture.Ethernet), newPcapFile(capture.LinuxSLL2)
	for name, c := range map[string]struct {
		in     []byte
		zoning capture.Zoning
		whole  bool
	}{
		"two interfaces, one zone":          {interfaces(0, 1), capture.OneZone, true},
		"two interfaces, by VLAN":           {interfaces(0, 1), capture.ByVLAN, true},
		"two interfaces, by interface":      {interfaces(0, 1), capture.ByInterface, false},
		"one interface, by interface":       {interfaces(1, 1), capture.ByInterface, true},
		"two sections, one zone":            {sections, capture.OneZone, true},
		"two sections, by interface":        {sections, capture.ByInterface, false},
		"two VLANs, one zone":               {ethernet.file(tagged(5, fragments[0]), tagged(6, fragments[1])), capture.OneZone, true},
		"two VLANs, by interface":           {ethernet.file(tagged(5, fragments[0]), tagged(6, fragments[1])), capture.ByInterface, true},
		"two VLANs, by VLAN":                {ethernet.file(tagged(5, fragments[0]), tagged(6, fragments[1])), capture.ByVLAN, false},
		"one VLAN, two priorities, by VLAN": {ethernet.file(tagged(5, fragments[0]), urgent(5, fragments[1])), capture.ByVLAN, true},
		"VLAN and none, by VLAN":            {ethernet.file(tagged(5, fragments[0]), untagged(fragments[1])), capture.ByVLAN, false},
		"priority tag and none, by VLAN":    {ethernet.file(tagged(0, fragments[0]), untagged(fragments[1])), capture.ByVLAN, true},
		"two SLL2 interfaces, one zone":     {sll2.file(cooked(2, fragments[0]), cooked(3, fragments[1])), capture.OneZone, true},
		"two SLL2 interfaces, by interface": {sll2.file(cooked(2, fragments[0]), cooked(3, fragments[1])), capture.ByInterface, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := defragment(t, c.in, capture.Options{Zoning: c.zoning})
			if r.err != nil {
				t.Fatal(r.err)
			}
			if got := r.counts.Datagrams == 1; got != c.whole {
				t.Errorf("reassembled: %v, want %v", got, c.whole)
			}
			if c.whole != bytes.Contains(r.out, whole) {
				t.Errorf("OUT holds the datagram: %v, want %v", !c.whole, c.whole)
			}
		})
	}
}

// TestLinkLocal matches link-local destinations on one link only, whatever
// the zones.
func TestLinkLocal(t *testing.T) {
	local := wire.Header{Source: hosts.Source, Destination: netip.MustParseAddr("fe80::2")}
	_, fragments := echo(local, 1, 2000, 1448)
	f := littleNG
	for second, whole := range []uint64{1, 0} {
		in := join(f.section(), f.iface(capture.Raw, 0), f.iface(capture.Raw, 0),
			f.enhanced(0, packetAt{data: fragments[0]}), f.enhanced(uint32(second), packetAt{data: fragments[1]}))
		if r := defragment(t, in, capture.Options{}); r.counts.Datagrams != whole {
			t.Errorf("second fragment on interface %d: %d datagrams, want %d", second, r.counts.Datagrams, whole)
		}
	}
}

// TestZoningNames parses what is printed.
func TestZoningNames(t *testing.T) {
	for _, z := range []capture.Zoning{capture.OneZone, capture.ByInterface, capture.ByVLAN} {
		if got, err := capture.ParseZoning(z.String()); err != nil || got != z {
			t.Errorf("%v parses as %v, %v", z, got, err)
		}
	}
	if _, err := capture.ParseZoning("port"); err == nil {
		t.Error("zone port: want an error")
	}
	if got := capture.Zoning(9).String(); got != "Zoning(9)" {
		t.Error(got)
	}
}

// TestCancelled ends between packets, and leaves what was read.
func TestCancelled(t *testing.T) {
	f := newPcapFile(capture.Raw)
	packet := f.packet(packetAt{data: hosts.Packet(wire.UDPProtocol, hosts.UDP(1, 2, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	in := &source{head: f.header(), count: 1_000_000, record: func(int) []byte { return packet }}
	in.check = func(delivered int) {
		if delivered > 0 {
			cancel()
		}
	}
	reader, err := capture.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	counts, err := capture.Defragment(ctx, reader, &out, capture.Options{})
	if !errors.Is(err, context.Canceled) || counts.Packets == 0 || counts.Packets == 1_000_000 {
		t.Errorf("error %v after %d packets: want context.Canceled in between", err, counts.Packets)
	}
	mustHold(t, out.Bytes(), counts.Packets)
}

// TestReadError reports what cannot be read, and where.
func TestReadError(t *testing.T) {
	broken := errors.New("input/output error")
	in := timed(packetAt{data: []byte("x")}, packetAt{data: []byte("y")})
	reader, err := capture.NewReader(io.MultiReader(bytes.NewReader(in[:45]), iotest.ErrReader(broken)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, err = capture.Defragment(t.Context(), reader, &out, capture.Options{})
	var damage *capture.Damage
	if !errors.As(err, &damage) || !errors.Is(err, broken) || damage.Packet != 2 || damage.Offset != 41 {
		t.Errorf("error %v: want %v at packet 2", err, broken)
	}
	mustEqual(t, out.Bytes(), in[:41])
	if _, err := capture.NewReader(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("NewReader: error %v, want %v", err, broken)
	}
}

// failing fails to be written after some octets.
type failing struct{ room int }

var errFull = errors.New("no space left")

func (f *failing) Write(p []byte) (int, error) {
	if len(p) > f.room {
		return f.room, errFull
	}
	f.room -= len(p)
	return len(p), nil
}

// TestWriteErrors reports what cannot be written.
func TestWriteErrors(t *testing.T) {
	_, fragments := echo(hosts, 1, 2000, 1448)
	in := timed(packetAt{seconds: 1, data: fragments[0]}, packetAt{seconds: 100, data: fragments[1]})
	for name, c := range map[string]struct{ out, errors io.Writer }{
		"OUT":    {&failing{10}, io.Discard},
		"errors": {io.Discard, &failing{30}},
	} {
		reader, err := capture.NewReader(bytes.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := capture.Defragment(t.Context(), reader, c.out, capture.Options{Errors: c.errors}); !errors.Is(err, errFull) {
			t.Errorf("%s: error %v, want %v", name, err, errFull)
		}
	}
}

// TestBadConfig says what is wrong with a zone.
func TestBadConfig(t *testing.T) {
	reader, err := capture.NewReader(bytes.NewReader(timed()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := capture.Defragment(t.Context(), reader, io.Discard, capture.Options{Zone: defrag.ZoneConfig{High: 1, Low: 2}}); err == nil {
		t.Error("low above high: want an error")
	}
}

// TestHighBudget may be above what an engine holds by default.
func TestHighBudget(t *testing.T) {
	whole, fragments := echo(hosts, 1, 60000, 8)
	var packets []packetAt
	for _, f := range fragments[:len(fragments)-1] {
		packets = append(packets, packetAt{data: f})
	}
	packets = append(packets, packetAt{data: fragments[len(fragments)-1]})
	r := defragment(t, timed(packets...), capture.Options{Zone: defrag.ZoneConfig{High: 1 << 30}})
	r.mustBe(t, timed(packetAt{data: whole}))
}
