package capture_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/capture"
	"github.com/v6stack/v6stack/internal/wire"
)

// answerTo returns the ICMPv6 error that hosts' destination owes for packet.
func answerTo(packet []byte, kind, code uint8, pointer uint32) []byte {
	back := wire.Header{Source: hosts.Destination, Destination: hosts.Source}
	rest := binary.BigEndian.AppendUint32(nil, pointer)
	rest = append(rest, packet[:min(len(packet), 1232)]...)
	return back.Packet(wire.ICMPv6, back.ICMP(kind, code, rest))
}

// TestErrors writes the errors of a capture to one of the same format.
func TestErrors(t *testing.T) {
	_, fragments := echo(hosts, 1, 2000, 1448)
	other := hosts.Packet(wire.UDPProtocol, hosts.UDP(1, 2, nil))
	unaligned := hosts.Fragment(wire.Fragment{ID: 2, Next: wire.ICMPv6, Offset: 1448, More: true}, make([]byte, 9))
	for _, order := range bothOrders {
		for magic, unit := range map[uint32]uint32{0xa1b2c3d4: 1, 0xa1b23c4d: 1000} {
			f := pcapFile{order, magic, 262144, uint32(capture.Ethernet)}
			at := func(second, fraction uint32, packet []byte) []byte {
				return f.packet(packetAt{seconds: second, fraction: fraction, data: join(frames[4].header, packet)})
			}
			in := join(f.header(),
				at(100, 500*unit, fragments[0]), at(100, 700*unit, fragments[0]),
				at(101, 250*unit, unaligned), at(1000, 0, other))
			r := defragment(t, in, capture.Options{})
			f.linkType = uint32(capture.Raw)
			head := bytes.Clone(f.header())
			copy(head[8:], make([]byte, 8))
			if len(r.errors) < len(head) {
				t.Fatalf("errors: %x", r.errors)
			}
			mustEqual(t, r.errors[:len(head)], head)
			rest := r.errors[len(head):]
			first := f.packet(packetAt{seconds: 101, fraction: 250 * unit, data: answerTo(unaligned, 4, 0, 4)})
			mustEqual(t, rest[:len(first)], first)
			second := rest[len(first):]
			seconds := order.Uint32(second)
			if seconds < 160 || seconds > 166 {
				t.Errorf("time exceeded after %d s, want 60 to 66", seconds-100)
			}
			copy(second, join(word(order, 160), word(order, 500*unit)))
			mustEqual(t, second, f.packet(packetAt{seconds: 160, fraction: 500 * unit, data: answerTo(fragments[0], 3, 1, 0)}))
			if r.counts.Errors != 2 {
				t.Errorf("%d errors counted, want 2", r.counts.Errors)
			}
		}
	}
}

// TestErrorsNG writes pcapng where IN is.
func TestErrorsNG(t *testing.T) {
	unaligned := hosts.Fragment(wire.Fragment{ID: 2, Next: wire.ICMPv6, Offset: 1448, More: true}, make([]byte, 9))
	for _, order := range bothOrders {
		f := ngFile{order}
		in := join(f.section(), f.iface(capture.Raw, 0, f.option(9, []byte{3})), f.enhanced(0, packetAt{fraction: 1234, data: unaligned}))
		r := defragment(t, in, capture.Options{})
		mustEqual(t, r.errors, join(f.section(),
			f.iface(capture.Raw, 262144, f.option(9, []byte{9}), f.option(0, nil)),
			f.enhanced(0, packetAt{fraction: 1_234_000_000, data: answerTo(unaligned, 4, 0, 4)},
				f.option(1, []byte("packet 1: unaligned")), f.option(0, nil))))
	}
}

// TestNoAnswer follows RFC 4443 section 2.4 (e).
func TestNoAnswer(t *testing.T) {
	owed := defrag.ICMPError{Type: 3, Code: 1}
	from := func(source, destination string) wire.Header {
		return wire.Header{Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr(destination)}
	}
	first := func(h wire.Header, kind uint8) []byte {
		return h.Fragment(wire.Fragment{ID: 1, Next: wire.ICMPv6, More: true}, h.ICMP(kind, 0, make([]byte, 12)))
	}
	options := wire.Extensions{}.With(wire.DestinationOptions, wire.Options(1))
	behind := wire.Header{Source: hosts.Source, Destination: hosts.Destination, Extensions: options}
	sealed := behind
	sealed.Extensions = options.With(wire.AH, append([]byte{0, 2}, make([]byte, 14)...))
	tail := hosts
	tail.Extensions = wire.Extensions{}.With(wire.FragmentHeader, []byte{0, 0, 0, 8, 0, 0, 0, 0})
	later := hosts.Fragment(wire.Fragment{ID: 1, Next: wire.ICMPv6, Offset: 8, More: true}, make([]byte, 8))
	for name, c := range map[string]struct {
		owed   defrag.ICMPError
		packet []byte
		want   bool
	}{
		"echo request":          {owed, first(hosts, 128), true},
		"later fragment":        {owed, later, true},
		"nothing owed":          {defrag.ICMPError{}, first(hosts, 128), false},
		"packet let go":         {owed, nil, false},
		"destination multicast": {owed, first(from("2001:db8::1", "ff02::1"), 128), false},
		"source multicast":      {owed, first(from("ff02::1", "2001:db8::1"), 128), false},
		"source unspecified":    {owed, first(from("::", "2001:db8::1"), 128), false},
		"source loopback":       {owed, first(from("::1", "2001:db8::1"), 128), false},
		"from itself":           {owed, first(from("2001:db8::1", "2001:db8::1"), 128), false},
		"an error":              {owed, first(hosts, 1), false},
		"an error behind":       {owed, first(behind, 127), false},
		"an error behind AH":    {owed, first(sealed, 4), false},
		"in a later fragment":   {owed, first(tail, 4), true},
		"a redirect":            {owed, first(hosts, 137), false},
	} {
		if _, ok := capture.Answer(c.owed, c.packet); ok != c.want {
			t.Errorf("%s: answered %v, want %v", name, ok, c.want)
		}
	}
}

// TestErrorsAreRare has none for what owes none.
func TestErrorsAreRare(t *testing.T) {
	_, fragments := echo(hosts, 1, 4000, 1448)
	r := defragment(t, timed(
		packetAt{seconds: 1, data: fragments[1]}, // times out without the first
		packetAt{seconds: 100, data: fragments[0]},
	), capture.Options{Zone: defrag.ZoneConfig{Timeout: time.Second}})
	if r.counts.Errors != 0 || len(r.errors) != 24 {
		t.Errorf("%d errors in %d octets: want none", r.counts.Errors, len(r.errors))
	}
}
