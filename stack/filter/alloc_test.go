package filter_test

import (
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack/filter"
)

// Parsing never allocates, whatever the views.
func TestParseAllocatesNothing(t *testing.T) {
	packet := with(there, wire.HopByHop, wire.DestinationOptions).Packet(wire.UDPProtocol, there.UDP(1, 2, wire.Payload(1000)))
	var headers, payload buffer.Buffer
	headers, payload = split(packet, func() int { return 7 }), split(packet, func() int { return 1000 })
	defer headers.Release()
	defer payload.Release()
	for name, b := range map[string]*buffer.Buffer{"small views": &headers, "large views": &payload} {
		if n := testing.AllocsPerRun(1000, func() {
			if _, ok := filter.ParseBuffer(b); !ok {
				t.Fatal("refused")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Once the table has been full, nothing allocates: packets of flows, refusals,
// errors, flows that come and go, expire and are evicted.
func TestJudgeAllocatesNothingOnceWarm(t *testing.T) {
	f := limited(t, 1024)
	now, n := time.Duration(0), 0
	work := func() {
		n++
		now += time.Millisecond
		fresh := udp()
		fresh.SourcePort, fresh.DestinationPort, fresh.Destination[15] = uint16(n), uint16(n>>16), byte(n)
		refused := back(tcp(syn))
		for _, p := range []filter.Packet{fresh, back(fresh), fresh, refused, tcp(syn), back(tcp(syn | ack)), errorAbout(fresh), fragmentErrorAbout(fresh), icmp(128)} {
			f.Judge(&p, at(now))
		}
	}
	for range 5000 {
		work()
	}
	if s := f.Stats(at(now)); s.Evicted == 0 {
		t.Fatalf("the table was never full: %+v", s)
	}
	if n := testing.AllocsPerRun(5000, work); n != 0 {
		t.Errorf("%v allocations", n)
	}
	now += time.Hour
	work()
	if s := f.Stats(at(now)); s.Expired == 0 {
		t.Errorf("nothing expired: %+v", s)
	}
}
