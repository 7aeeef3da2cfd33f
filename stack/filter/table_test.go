package filter_test

import (
	"testing"
	"time"

	"github.com/v6stack/v6stack/stack/filter"
)

// numbered returns the packet of flow n.
func numbered(p filter.Packet, n int) filter.Packet {
	p.SourcePort = uint16(n)
	return p
}

// limited returns a filter with room for so many flows.
func limited(t testing.TB, most int) *filter.Filter {
	c := config(redToBlue)
	c.MaxFlows = most
	return newFilter(t, c)
}

// Room is made first by what is closest to its end among flows never answered,
// then among the others.
func TestEviction(t *testing.T) {
	f := limited(t, 4)
	open := func(p filter.Packet, now time.Duration) {
		t.Helper()
		expect(t, f, p, now, byRule(filter.Allow, 0))
	}
	open(packet(99), 0) // Ends at 600 s.
	open(numbered(udp(), 1), 1*time.Second)
	open(numbered(udp(), 2), 2*time.Second)
	open(numbered(tcp(ack), 3), 3*time.Second)
	expect(t, f, back(numbered(udp(), 1)), 4*time.Second, byFlow(0))    // Ends at 124 s, answered.
	expect(t, f, back(numbered(tcp(ack), 3)), 4*time.Second, byFlow(0)) // Ends in days, answered.
	open(numbered(udp(), 4), 5*time.Second)                             // Flow 2 makes room.
	expect(t, f, back(numbered(udp(), 2)), 5*time.Second, denied)       //
	expect(t, f, back(numbered(udp(), 4)), 5*time.Second, byFlow(0))    //
	open(numbered(udp(), 5), 5*time.Second)                             // The other protocol makes room.
	expect(t, f, back(packet(99)), 5*time.Second, denied)               //
	expect(t, f, back(numbered(udp(), 5)), 6*time.Second, byFlow(0))    // All are answered.
	open(numbered(udp(), 6), 6*time.Second)                             // Flow 1, 4 or 5: 4 ends first.
	expect(t, f, back(numbered(udp(), 4)), 6*time.Second, denied)       //
	expect(t, f, back(numbered(tcp(ack), 3)), 6*time.Second, byFlow(0)) //
	expect(t, f, back(numbered(udp(), 6)), 6*time.Second, byFlow(0))    //
	if s := f.Stats(at(6 * time.Second)); s.Evicted != 3 || s.Flows != 4 || s.MaxFlows != 4 {
		t.Errorf("%+v", s)
	}
}

// An expired flow makes room before any that lives.
func TestExpiredMakeRoomFirst(t *testing.T) {
	f := limited(t, 2)
	expect(t, f, numbered(udp(), 1), 0, byRule(filter.Allow, 0))
	expect(t, f, back(numbered(udp(), 1)), 0, byFlow(0))
	expect(t, f, numbered(tcp(syn), 2), 0, byRule(filter.Allow, 0))
	expect(t, f, numbered(tcp(syn), 3), 31*time.Second, byRule(filter.Allow, 0))
	expect(t, f, back(numbered(tcp(syn|ack), 2)), 31*time.Second, byFlow(0))
	if s := f.Stats(at(31 * time.Second)); s.Evicted != 0 || s.Expired != 1 {
		t.Errorf("%+v", s.Turnover)
	}
}

// However many flows are opened, the table keeps its bound, and answered flows
// outlive a flood of others.
func TestFlood(t *testing.T) {
	for _, most := range []int{1, 3, 1000, 4096, 20000} {
		f := limited(t, most)
		keep := tcp(syn)
		if most > 1 {
			f.Judge(&keep, at(0))
			expect(t, f, back(tcp(syn|ack)), 0, byFlow(0))
		}
		for n := range 3 * most {
			p := packet(filter.UDP)
			p.SourcePort, p.DestinationPort = uint16(n), uint16(n>>16)
			f.Judge(&p, at(0))
		}
		s := f.Stats(at(0))
		if s.MaxFlows > most || s.MaxFlows < most-15 || s.Flows != s.MaxFlows {
			t.Errorf("%d flows, at most %d, want %d", s.Flows, s.MaxFlows, most)
		}
		if n := len(flows(f, 0)); n != s.Flows {
			t.Errorf("%d flows listed, %d counted", n, s.Flows)
		}
		if most > 1 {
			expect(t, f, back(tcp(ack)), 0, byFlow(0))
		}
	}
}

// Iteration may stop early.
func TestFlowsStop(t *testing.T) {
	f := limited(t, 65536)
	for n := range 100 {
		p := numbered(udp(), n)
		f.Judge(&p, at(0))
	}
	n := 0
	for range f.Flows(at(0)) {
		if n++; n == 10 {
			break
		}
	}
	if n != 10 {
		t.Errorf("%d flows, want 10", n)
	}
}

// What tables show of a flow, seen from the packet that opened it.
func TestFlowSnapshot(t *testing.T) {
	for _, first := range []filter.Packet{udp(), back(udp()), icmp(128), back(tcp(syn))} {
		f := newFilter(t, config(filter.Rule{Action: filter.Deny, Protocol: 98}, filter.Rule{Action: filter.Allow}))
		expect(t, f, first, 0, byRule(filter.Allow, 1))
		expect(t, f, first, time.Second, byFlow(1))
		reply := back(first)
		reply.Length = 60
		expect(t, f, reply, time.Second, byFlow(1))
		all := flows(f, 2*time.Second)
		got := all[0]
		want := filter.Flow{
			FromZone: first.FromZone, FromLink: first.FromLink, ToZone: first.ToZone, ToLink: first.ToLink,
			Source: first.Source, Destination: first.Destination, Protocol: first.Protocol,
			SourcePort: first.SourcePort, DestinationPort: first.DestinationPort, Identifier: first.Identifier,
			Replied: true, Rule: 1, Age: 2 * time.Second,
			There: filter.Count{Packets: 2, Bytes: 200}, Back: filter.Count{Packets: 1, Bytes: 60},
			State: got.State, Expires: got.State.Timeout(true) - time.Second,
		}
		if len(all) != 1 || got != want {
			t.Errorf("%d flows:\n got %+v\nwant %+v", len(all), got, want)
		}
	}
}
