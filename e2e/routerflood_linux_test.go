package e2e

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// A flood is incomplete datagrams that a station sends to another one, until
// the test ends.
type flood struct {
	stop   chan struct{}
	sender sync.WaitGroup
}

func startFlood(t *testing.T, from, to *station) {
	t.Helper()
	f := &flood{stop: make(chan struct{})}
	t.Cleanup(func() {
		close(f.stop)
		f.sender.Wait()
	})
	f.sender.Go(func() { f.send(from, to) })
}

// send sends first fragments, in bursts between which other processes get to
// run.
func (f *flood) send(from, to *station) {
	random := rand.New(rand.NewPCG(6, 6))
	payload := wire.Payload(1448)
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for {
		for range 50 {
			lone := wire.Fragment{ID: random.Uint32(), Next: wire.UDPProtocol, More: true}
			// A full queue refuses some.
			from.tap.socket.Write(from.to(to).Fragment(lone, payload))
		}
		select {
		case <-f.stop:
			return
		case <-pause.C:
		}
	}
}

// TestRouterFlood has one station send incomplete datagrams, much more than
// the zone's budget holds, while two others of the same zone ping each other
// and the router.
func TestRouterFlood(t *testing.T) {
	needTool(t, "ping")
	const budget = 1 << 20
	r := startRouter(t, func(r *router) { r.config.Engine.Zone.High = budget },
		stationConfig{subnet: 0xa, mtu: 1500}, stationConfig{subnet: 0xb, mtu: 1500}, stationConfig{subnet: 0xc, mtu: 1500})
	a, b, c := r.stations[0], r.stations[1], r.stations[2]
	startFlood(t, a, c)
	for end := deadline(); r.Stats().Defrag.Packets[defrag.Evicted] == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the flood does not fill the budget")
		}
	}
	pingAcross(t, b, c, 10, 8000)
	pingAcross(t, c, b, 10, 8000)
	b.inside(t, func() { pingAt(t, b.router.Addr(), 10, 8000, "-A") })
	checkPassed(t, b, c, 2*10*6)
	if _, received := c.wire.drain(t); len(between(received, a.addr(), c.addr())) > 0 {
		t.Error("part of the flood has come through")
	}
	// What comes in is held before others are evicted.
	const most = budget + 1<<16
	if got := r.Stats().Defrag; got.Bytes > most {
		t.Errorf("%d octets held: want at most %d", got.Bytes, most)
	}
}
