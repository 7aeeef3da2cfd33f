package defrag_test

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// A ledger keeps account of packets that many goroutines gather: by tag, how
// often each was told dropped.
type ledger struct {
	told [1 << 15]atomic.Uint32
	tags atomic.Uint64
	by   [defrag.NumVerdicts]atomic.Uint64 // told
	at   [defrag.NumVerdicts]atomic.Uint64 // verdicts of Gather
}

// HandleDrop implements defrag.Handler.
func (l *ledger) HandleDrop(d *defrag.Drop) {
	l.told[d.Metadata.Tag].Add(1)
	l.by[d.Verdict].Add(1)
}

// balance checks that each packet was delivered once or told once (R38).
func (l *ledger) balance(t *testing.T, s defrag.Counts) {
	t.Helper()
	if s.Queues != 0 || s.Fragments != 0 || s.Bytes != 0 {
		t.Errorf("%d queues, %d fragments and %d octets are held", s.Queues, s.Fragments, s.Bytes)
	}
	gathered := l.tags.Load()
	sum, told := uint64(0), uint64(0)
	for v, n := range s.Packets {
		verdict := defrag.Verdict(v)
		sum += n
		told += l.by[v].Load()
		switch {
		case verdict.IsDrop() && n != l.by[v].Load():
			t.Errorf("%v: %d counted, %d told", verdict, n, l.by[v].Load())
		case (verdict == defrag.Passed || verdict == defrag.Atomic) && n != l.at[v].Load():
			t.Errorf("%v: %d counted, %d returned", verdict, n, l.at[v].Load())
		}
	}
	if sum != gathered || s.Datagrams != l.at[defrag.Reassembled].Load() {
		t.Errorf("%d packets gathered, %d counted; %d datagrams delivered, %d counted", gathered, sum, l.at[defrag.Reassembled].Load(), s.Datagrams)
	}
	if left := gathered - told - s.Packets[defrag.Passed] - s.Packets[defrag.Atomic]; left != s.Packets[defrag.Reassembled] {
		t.Errorf("%d packets are neither told nor passed, %d were reassembled", left, s.Packets[defrag.Reassembled])
	}
	for tag := range gathered + 1 {
		if n := l.told[tag].Load(); n > 1 {
			t.Errorf("packet %d was told %d times", tag, n)
		}
	}
}

// traffic is what goroutines send: fragments of few datagrams, so that they
// meet; and now and then a packet of another kind.
type traffic struct {
	fragments [][]byte
	others    [][]byte
	datagram  []byte
}

func newTraffic() traffic {
	udp := peers.UDP(1, 2, wire.Payload(1000))
	return traffic{
		fragments: peers.Split(0, wire.UDPProtocol, udp, 256),
		others: [][]byte{
			peers.Packet(wire.UDPProtocol, udp), whole(wire.UDPProtocol, udp), later(512, true, udp[:9]), later(512, true, nil),
			later(520, true, udp[:64]), first(wire.ICMPv6, peers.ICMP(135, 0, make([]byte, 28))), announce(middle, 0),
		},
		datagram: peers.Packet(wire.UDPProtocol, udp),
	}
}

// send gathers n packets and checks what is delivered.
func (l *ledger) send(t *testing.T, e *defrag.Engine, traffic traffic, random *rand.Rand, n int) {
	var b buffer.Buffer
	for range n {
		packet := traffic.fragments[random.IntN(len(traffic.fragments))]
		if random.IntN(10) == 0 {
			packet = traffic.others[random.IntN(len(traffic.others))]
		}
		packet = bytes.Clone(packet)
		if packet[6] == wire.FragmentHeader {
			packet[47] = byte(random.IntN(24)) // Identification.
		}
		meta := defrag.Metadata{
			Zone: defrag.Zone(random.IntN(4)), Link: random.Uint32N(3), Tag: l.tags.Add(1), Handler: l,
		}
		b = buffer.MakeWithData(packet)
		v := e.Gather(&b, &meta, nil)
		l.at[v].Add(1)
		if v.IsDrop() != (l.told[meta.Tag].Load() == 1) && v != defrag.Held {
			t.Errorf("verdict %v, told %d times", v, l.told[meta.Tag].Load())
		}
		if v == defrag.Reassembled && !bytes.Equal(b.Flatten(), traffic.datagram) {
			t.Errorf("wrong datagram: %s", brief(b.Flatten()))
		}
		b.Release()
	}
}

// R38: many goroutines gather while others flush links, set and remove zones,
// take snapshots and, at the end, close; timers run meanwhile.
func TestConcurrentUse(t *testing.T) {
	for name, policy := range map[string]defrag.Policy{"rfc8200": defrag.RFC8200, "rfc5722": defrag.RFC5722, "linux": defrag.Linux} {
		t.Run(name, func(t *testing.T) {
			zone := defrag.ZoneConfig{Policy: policy, High: 30000, Timeout: 2 * time.Millisecond}
			e, err := defrag.New(defrag.Config{Zone: zone, Total: 80000, MaxZones: 6})
			if err != nil {
				t.Fatal(err)
			}
			l := new(ledger)
			traffic := newTraffic()
			for random := rand.New(rand.NewPCG(9, 9)); l.at[defrag.Reassembled].Load() == 0; {
				l.send(t, e, traffic, random, 100) // Until a datagram is in time.
				if l.tags.Load() > 10000 {
					t.Fatal("no datagram is ever complete")
				}
			}
			stop := make(chan struct{})
			var senders, others sync.WaitGroup
			for i := range 6 {
				senders.Go(func() { l.send(t, e, traffic, rand.New(rand.NewPCG(uint64(i), 1)), 1500) })
			}
			for i, disturb := range []func(random *rand.Rand){
				func(random *rand.Rand) { e.FlushLink(random.Uint32N(3)) },
				func(random *rand.Rand) { e.RemoveZone(defrag.Zone(random.IntN(4))) },
				func(random *rand.Rand) {
					changed := zone
					changed.High = 5000 + random.Uint64N(60000)
					changed.Low = 0
					changed.Timeout = time.Duration(1+random.IntN(20)) * time.Millisecond
					changed.Policy = policies[random.IntN(len(policies))]
					if err := e.SetZone(defrag.Zone(random.IntN(4)), changed); err != nil {
						t.Error(err)
					}
				},
				func(random *rand.Rand) { e.Stats(); e.ZoneStats(defrag.Zone(random.IntN(4))) },
			} {
				others.Go(func() {
					random := rand.New(rand.NewPCG(uint64(i), 2))
					for {
						select {
						case <-stop:
							return
						default:
							disturb(random)
							runtime.Gosched()
						}
					}
				})
			}
			senders.Go(func() {
				for l.tags.Load() < 7500 {
					runtime.Gosched()
				}
				e.Close()
			})
			senders.Wait()
			close(stop)
			others.Wait()
			before := l.by[defrag.EngineClosed].Load()
			l.send(t, e, traffic, rand.New(rand.NewPCG(9, 1)), 100)
			if l.by[defrag.EngineClosed].Load() == before {
				t.Error("Close changed nothing")
			}
			l.balance(t, e.Stats().Total)
		})
	}
}

// A meddler calls the engine from its handler, whatever the reason.
type meddler struct {
	ledger
	engine *defrag.Engine
	busy   atomic.Bool
	packet []byte
}

func (m *meddler) HandleDrop(d *defrag.Drop) {
	m.ledger.HandleDrop(d)
	// A few times a reason is enough; and its own calls drop packets, too.
	if m.by[d.Verdict].Load() < 4 && m.busy.CompareAndSwap(false, true) {
		m.engine.Stats()
		m.gather(200)
		m.engine.FlushLink(9)
		m.engine.RemoveZone(9)
		m.engine.SetZone(d.Metadata.Zone, defrag.ZoneConfig{High: 20000, Timeout: time.Second})
		m.busy.Store(false)
	}
}

// gather feeds fragments of n datagrams in.
func (m *meddler) gather(n int) {
	var b buffer.Buffer
	for i := range n {
		tag := m.tags.Add(1)
		packet := bytes.Clone(m.packet)
		packet[46], packet[47] = byte(tag>>8), byte(tag)
		b = buffer.MakeWithData(packet)
		meta := defrag.Metadata{Zone: defrag.Zone(i % 2), Link: uint32(i % 2), Tag: tag, Handler: m}
		m.at[m.engine.Gather(&b, &meta, nil)].Add(1)
		b.Release()
	}
}

// A handler may call the engine: no lock is held around it.
func TestHandlerCallsEngine(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		clock := faketime.NewManualClock()
		e, err := defrag.New(defrag.Config{Clock: clock, Zone: defrag.ZoneConfig{High: 20000, Timeout: time.Second}, Total: 30000})
		if err != nil {
			t.Error(err)
			return
		}
		m := &meddler{engine: e, packet: piecePacket(256)}
		for range 5 {
			m.gather(100) // Evictions.
			clock.Advance(time.Second)
			m.gather(20)
			e.FlushLink(0)
			m.gather(20)
			e.RemoveZone(1)
		}
		m.gather(20)
		m.busy.Store(true) // Close waits for handlers: one that calls it is refused by its contract.
		e.Close()
		m.balance(t, e.Stats().Total)
		for _, v := range []defrag.Verdict{defrag.Evicted, defrag.TimedOut, defrag.Flushed} {
			if m.by[v].Load() == 0 {
				t.Errorf("nothing was told %v", v)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("a handler that calls the engine waits for ever")
	}
}

// piecePacket returns a first fragment with n octets.
func piecePacket(n int) []byte { return first(wire.UDPProtocol, content[:n]) }

// A pause is a handler that waits.
type pause struct{ entered, leave chan struct{} }

func (p pause) HandleDrop(*defrag.Drop) {
	close(p.entered)
	<-p.leave
}

// Close waits for a timer's function that is telling a handler.
func TestCloseWaitsForTimers(t *testing.T) {
	clock := faketime.NewManualClock()
	e, err := defrag.New(defrag.Config{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	p := pause{make(chan struct{}), make(chan struct{})}
	b := buffer.MakeWithData(piecePacket(256))
	if v := e.Gather(&b, &defrag.Metadata{Handler: p}, nil); v != defrag.Held {
		t.Fatal(v)
	}
	var left atomic.Bool
	var timer sync.WaitGroup
	timer.Go(func() { clock.Advance(defrag.DefaultTimeout) })
	<-p.entered
	closed := make(chan bool)
	go func() {
		e.Close()
		closed <- left.Load()
	}()
	for v := defrag.Held; v != defrag.EngineClosed; { // Close has begun.
		b = buffer.MakeWithData(middle)
		v = e.Gather(&b, &defrag.Metadata{}, nil)
		b.Release()
	}
	for range 1000 {
		runtime.Gosched()
	}
	left.Store(true)
	close(p.leave)
	if !<-closed {
		t.Error("Close returned while a handler was being told")
	}
	timer.Wait()
}
