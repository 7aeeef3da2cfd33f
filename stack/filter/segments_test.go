package filter_test

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/v6stack/v6stack/stack/filter"
)

// segments returns those that p stands for, of which the last is shorter.
func segments(p filter.Packet) []filter.Packet {
	var all []filter.Packet
	for i := range p.Segments {
		one := p
		one.Segments = 1
		one.Length = 1500
		if i == p.Segments-1 {
			one.Length = p.Length - 1500*(p.Segments-1)
		} else {
			one.TCPFlags &^= fin | push
		}
		all = append(all, one)
	}
	return all
}

// A packet that stands for several segments comes to what they come to: the same
// verdict, flows in the same state, the same counters.
func TestSegments(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	port := func(port uint16, action filter.Action, stateless bool) filter.Rule {
		return filter.Rule{
			Protocol: filter.TCP, SourcePorts: []filter.PortRange{{First: port, Last: port}},
			Action: action, Stateless: stateless,
		}
	}
	rules := config(port(1000, filter.Allow, false), port(1001, filter.Deny, false), port(1002, filter.Allow, true), port(1003, filter.Reject, false))
	rules.MaxFlows = 8
	// Large segments have neither SYN nor RST.
	flags := []uint8{ack, ack | push, ack | fin, ack | push | fin, 0, fin, push}
	single := append(flags, syn, syn|ack, rst, rst|ack)
	for range 300 {
		merged, apart := newFilter(t, rules), newFilter(t, rules)
		now := time.Duration(0)
		for range 40 {
			now += time.Duration(random.IntN(30)) * time.Second
			p := tcp(single[random.IntN(len(single))])
			if random.IntN(2) == 0 {
				p.Segments = 2 + random.IntN(3)
				p.TCPFlags = flags[random.IntN(len(flags))]
				p.Length = 1500*(p.Segments-1) + 61 + random.IntN(1440)
			} else {
				p.Segments = random.IntN(2)
			}
			p.SourcePort += uint16(random.IntN(5))
			if p.SourcePort == 1004 {
				p.ToZone = p.FromZone
			}
			if random.IntN(2) == 0 {
				p = back(p)
			}
			got := merged.Judge(&p, at(now))
			pieces := []filter.Packet{p}
			if p.Segments > 1 {
				pieces = segments(p)
			}
			for i := range pieces {
				if want := apart.Judge(&pieces[i], at(now)); i == 0 && got != want || got.Action != want.Action {
					t.Fatalf("%d segments, flags %#x: %+v, segment %d %+v", p.Segments, p.TCPFlags, got, i, want)
				}
			}
			if got, want := merged.Stats(at(now)), apart.Stats(at(now)); !reflect.DeepEqual(got, want) {
				t.Fatalf("%d segments, flags %#x:\n%+v, want\n%+v", p.Segments, p.TCPFlags, got, want)
			}
			if got, want := byPort(merged, now), byPort(apart, now); !reflect.DeepEqual(got, want) {
				t.Fatalf("%d segments, flags %#x:\n%+v, want\n%+v", p.Segments, p.TCPFlags, got, want)
			}
		}
	}
}

// byPort returns the flows of f by their ports.
func byPort(f *filter.Filter, now time.Duration) map[[2]uint16]filter.Flow {
	m := make(map[[2]uint16]filter.Flow)
	for _, flow := range flows(f, now) {
		m[[2]uint16{flow.SourcePort, flow.DestinationPort}] = flow
	}
	return m
}

// The data before a FIN counts by itself.
func TestSegmentsBeforeFIN(t *testing.T) {
	f := newFilter(t, config(redToBlue))
	state := func(want filter.State) {
		t.Helper()
		if got := flows(f, 0)[0].State; got != want {
			t.Errorf("state %v, want %v", got, want)
		}
	}
	large := func(p filter.Packet) filter.Packet {
		p.Segments, p.Length = 3, 4000
		return p
	}
	expect(t, f, large(tcp(ack|fin)), 0, byRule(filter.Allow, 0))
	state(filter.FinWait)
	expect(t, f, large(back(tcp(ack|fin))), 0, byFlow(0))
	state(filter.LastAck)
	expect(t, f, large(tcp(ack|fin)), 0, byFlow(0))
	state(filter.TimeWait) // Its first segment acknowledges.
	if s := f.Stats(at(0)); s.Rules[0].Packets != 9 || s.Rules[0].Bytes != 12000 {
		t.Errorf("%+v", s.Rules[0])
	}
}
