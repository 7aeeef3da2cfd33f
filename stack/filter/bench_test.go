package filter_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack/filter"
)

// benchFilter returns a filter with that many flows, answered, and packets of
// them, in turn in both directions.
func benchFilter(b *testing.B, count int) (*filter.Filter, []filter.Packet) {
	refuse := redToBlue
	refuse.Protocol, refuse.DestinationPorts, refuse.Action = filter.UDP, []filter.PortRange{{First: 9, Last: 9}}, filter.Deny
	f := newFilter(b, config(refuse, redToBlue))
	packets := make([]filter.Packet, count)
	for n := range packets {
		p := udp()
		p.SourcePort, p.Source[15], p.Destination[15] = uint16(n), byte(n), byte(n>>4)
		f.Judge(&p, at(0))
		if packets[n] = p; n%2 == 1 {
			packets[n] = back(p)
		}
	}
	return f, packets
}

// BenchmarkJudge judges packets of flows that exist, in an order that no cache
// foresees.
func BenchmarkJudge(b *testing.B) {
	for _, count := range []int{1, 100, 10000, 60000} {
		b.Run(fmt.Sprintf("flows=%d", count), func(b *testing.B) {
			f, packets := benchFilter(b, count)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i = (i + 7919) % count
				if f.Judge(&packets[i], at(time.Second)).Action != filter.Allow {
					b.Fatal("denied")
				}
			}
		})
	}
}

// BenchmarkJudgeParallel is BenchmarkJudge from all processors at once.
func BenchmarkJudgeParallel(b *testing.B) {
	f, packets := benchFilter(b, 10000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); {
			i = (i + 7919) % len(packets)
			f.Judge(&packets[i], at(time.Second))
		}
	})
}

// BenchmarkOpen opens a flow with each packet, in a table that is full.
func BenchmarkOpen(b *testing.B) {
	f, _ := benchFilter(b, 60000)
	b.ReportAllocs()
	p := udp()
	n := uint32(0)
	for b.Loop() {
		n++
		p.SourcePort, p.DestinationPort = uint16(n), uint16(n>>16)+10
		f.Judge(&p, at(time.Second))
	}
}

// BenchmarkRules asks so many rules, none of which matches.
func BenchmarkRules(b *testing.B) {
	for _, count := range []int{0, 10, 100} {
		b.Run(fmt.Sprintf("rules=%d", count), func(b *testing.B) {
			rules := make([]filter.Rule, count)
			for i := range rules {
				rules[i] = redToBlue
				rules[i].Protocol, rules[i].DestinationPorts = filter.UDP, []filter.PortRange{{First: uint16(100 + i), Last: uint16(100 + i)}}
			}
			f := newFilter(b, config(rules...))
			p := udp()
			b.ReportAllocs()
			for b.Loop() {
				f.Judge(&p, at(0))
			}
		})
	}
}

// BenchmarkParse reads the headers of a packet whose first view holds them.
func BenchmarkParse(b *testing.B) {
	packet := there.Packet(wire.UDPProtocol, there.UDP(1000, 53, wire.Payload(1400)))
	buf := split(packet, func() int { return 128 })
	defer buf.Release()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := filter.ParseBuffer(&buf); !ok {
			b.Fatal("refused")
		}
	}
}
