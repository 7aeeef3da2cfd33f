package defrag_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

var peers = wire.Header{
	Source:      netip.MustParseAddr("2001:db8::1"),
	Destination: netip.MustParseAddr("2001:db8::2"),
}

// policies are all there are; tables of verdicts are indexed by policy.
var policies = [...]defrag.Policy{defrag.RFC8200, defrag.RFC5722, defrag.Linux}

// A rig is an engine on a fake clock that keeps account of every packet: when
// the test ends, the engine is closed, nothing may be held, and each packet
// must have been delivered once or told once (R38).
type rig struct {
	testing.TB
	engine *defrag.Engine
	clock  *faketime.ManualClock

	gathered uint64
	at       map[defrag.Verdict]uint64 // verdicts of Gather

	mu    sync.Mutex
	drops []dropped // told since the last call of take
	told  map[uint64]defrag.Verdict
}

// A dropped is a Drop by value, its packet copied.
type dropped struct {
	verdict defrag.Verdict
	owed    defrag.ICMPError
	meta    defrag.Metadata
	packet  []byte
}

// A fate is what Gather made of one packet.
type fate struct {
	verdict  defrag.Verdict
	tag      uint64
	packet   []byte
	datagram defrag.Datagram
}

// newRig returns a rig whose zones are all configured like that.
func newRig(t testing.TB, zone defrag.ZoneConfig) *rig {
	t.Helper()
	return newRigOf(t, defrag.Config{Zone: zone})
}

// newRigOf returns a rig of that configuration; the clock is the rig's.
func newRigOf(t testing.TB, cfg defrag.Config) *rig {
	t.Helper()
	r := &rig{
		TB:    t,
		clock: faketime.NewManualClock(),
		at:    make(map[defrag.Verdict]uint64),
		told:  make(map[uint64]defrag.Verdict),
	}
	cfg.Clock = r.clock
	e, err := defrag.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.engine = e
	r.clock.Advance(time.Hour) // Arrival 0 stands for "now".
	t.Cleanup(r.settle)
	return r
}

// HandleDrop implements defrag.Handler.
func (r *rig) HandleDrop(d *defrag.Drop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, twice := r.told[d.Metadata.Tag]; twice {
		r.Errorf("packet %d: told twice, %v and %v", d.Metadata.Tag, v, d.Verdict)
	}
	r.told[d.Metadata.Tag] = d.Verdict
	if !d.Verdict.IsDrop() {
		r.Errorf("packet %d: told of %v, which is no drop", d.Metadata.Tag, d.Verdict)
	}
	r.drops = append(r.drops, dropped{d.Verdict, d.Error, d.Metadata, flat(d.Packet)})
}

// settle closes the engine and draws the balance.
func (r *rig) settle() {
	r.engine.Close()
	s := r.engine.Stats().Total
	if s.Queues != 0 || s.Fragments != 0 || s.Bytes != 0 {
		r.Errorf("R38: after Close %d queues, %d fragments, %d octets are held", s.Queues, s.Fragments, s.Bytes)
	}
	sum := uint64(0)
	for _, n := range s.Packets {
		sum += n
	}
	if sum != r.gathered {
		r.Errorf("R38: %d packets counted, %d gathered", sum, r.gathered)
	}
	if s.Packets[defrag.Held] != 0 {
		r.Errorf("R38: Packets[Held] is %d", s.Packets[defrag.Held])
	}
	told := make(map[defrag.Verdict]uint64)
	for _, v := range r.told {
		told[v]++
	}
	for v := defrag.Passed; v < defrag.NumVerdicts; v++ {
		want := told[v]
		if !v.IsDrop() && v != defrag.Reassembled {
			want = r.at[v]
		}
		if v == defrag.Held || v == defrag.Reassembled {
			continue // Reassembled is what is left of the sum.
		}
		if s.Packets[v] != want {
			r.Errorf("R38: %d packets counted as %v, want %d", s.Packets[v], v, want)
		}
	}
	if s.Datagrams != r.at[defrag.Reassembled] {
		r.Errorf("R38: %d datagrams counted, %d delivered", s.Datagrams, r.at[defrag.Reassembled])
	}
}

// gather feeds packet in, in zone 0.
func (r *rig) gather(packet []byte) fate {
	r.Helper()
	return r.gatherWith(packet, defrag.Metadata{})
}

// gatherWith feeds packet in, with a tag and the rig as its handler.
func (r *rig) gatherWith(packet []byte, meta defrag.Metadata) fate {
	r.Helper()
	b := buffer.MakeWithData(packet)
	defer b.Release()
	return r.gatherBuffer(&b, packet, meta)
}

// gatherBuffer feeds in b, which holds packet, and checks that it is left as
// Gather promises.
func (r *rig) gatherBuffer(b *buffer.Buffer, packet []byte, meta defrag.Metadata) fate {
	r.Helper()
	r.gathered++
	meta.Tag, meta.Handler = r.gathered, r
	f := fate{tag: meta.Tag}
	f.verdict = r.engine.Gather(b, &meta, &f.datagram)
	f.packet = flat(b)
	r.at[f.verdict]++
	r.mu.Lock()
	told, isTold := r.told[f.tag]
	r.mu.Unlock()
	switch {
	case f.verdict == defrag.Passed && !bytes.Equal(f.packet, packet):
		r.Errorf("a packet that passed was changed from\n%x to\n%x", packet, f.packet)
	case f.verdict == defrag.Held && len(f.packet) > 0:
		r.Errorf("a fragment that is held was left to the caller: %x", f.packet)
	case f.verdict.IsDrop() && !bytes.Equal(f.packet, unpadded(packet)):
		r.Errorf("a packet that was dropped was changed from\n%x to\n%x", packet, f.packet)
	case f.verdict.IsDrop() && told != f.verdict:
		r.Errorf("verdict %v, but the handler was told %v (%v)", f.verdict, told, isTold)
	case f.verdict != defrag.Held && !f.verdict.IsDrop() && isTold:
		r.Errorf("verdict %v, but the handler was told %v", f.verdict, told)
	}
	return f
}

// hold feeds packets in, each of which must be held.
func (r *rig) hold(packets ...[]byte) {
	r.Helper()
	for i, packet := range packets {
		if f := r.gather(packet); f.verdict != defrag.Held {
			r.Fatalf("fragment %d: %v, want held", i, f.verdict)
		}
	}
}

// deliver feeds packets in, all but the last of which must be held, and the
// last must complete the datagram want.
func (r *rig) deliver(want []byte, packets ...[]byte) fate {
	r.Helper()
	last := len(packets) - 1
	r.hold(packets[:last]...)
	f := r.gather(packets[last])
	if f.verdict != defrag.Reassembled {
		r.Fatalf("last fragment: %v, want reassembled", f.verdict)
	}
	if !bytes.Equal(f.packet, want) {
		r.Fatalf("datagram of %d octets:\n%s\nwant %d octets:\n%s", len(f.packet), brief(f.packet), len(want), brief(want))
	}
	return f
}

// take returns the drops told since its last call.
func (r *rig) take() []dropped {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.drops
	r.drops = nil
	return d
}

// wantDrops checks that n packets have been dropped as v, with that error,
// and nothing else since the last look.
func (r *rig) wantDrops(v defrag.Verdict, n int, owed defrag.ICMPError) {
	r.Helper()
	drops := r.take()
	if len(drops) != n {
		r.Errorf("%d packets dropped, want %d", len(drops), n)
	}
	for _, d := range drops {
		if d.verdict != v || d.owed != owed {
			r.Errorf("packet %d dropped as %v with error %v, want %v with %v", d.meta.Tag, d.verdict, d.owed, v, owed)
		}
	}
}

// wantHeld checks the gauges.
func (r *rig) wantHeld(queues, fragments uint64) {
	r.Helper()
	s := r.engine.Stats().Total
	if s.Queues != queues || s.Fragments != fragments {
		r.Errorf("%d queues of %d fragments held, want %d of %d", s.Queues, s.Fragments, queues, fragments)
	}
	if (s.Bytes == 0) != (queues == 0) {
		r.Errorf("%d queues cost %d octets", s.Queues, s.Bytes)
	}
}

// flat returns a copy of b's octets.
func flat(b *buffer.Buffer) []byte { return append([]byte(nil), b.Flatten()...) }

// unpadded returns packet without trailing padding.
func unpadded(packet []byte) []byte {
	n := 40 + int(packet[4])<<8 + int(packet[5])
	if n == 40 || n > len(packet) {
		return packet
	}
	return packet[:n]
}

// brief shows the first octets of a packet.
func brief(packet []byte) string { return fmt.Sprintf("%x", packet[:min(len(packet), 120)]) }

// forPolicies runs test once a policy.
func forPolicies(t *testing.T, test func(t *testing.T, policy defrag.Policy)) {
	for _, policy := range policies {
		t.Run(policy.String(), func(t *testing.T) { test(t, policy) })
	}
}

// arrangements are orders of arrival, each a permutation of n.
var arrangements = map[string]func(n int) []int{
	"in order": func(n int) []int { return permutation(n, func(i int) int { return i }) },
	"reversed": func(n int) []int { return permutation(n, func(i int) int { return n - 1 - i }) },
	"evens then odds": func(n int) []int {
		return permutation(n, func(i int) int {
			if i < (n+1)/2 {
				return 2 * i
			}
			return 2*(i-(n+1)/2) + 1
		})
	},
	"shuffled":   func(n int) []int { return rand.New(rand.NewPCG(uint64(n), 1)).Perm(n) },
	"first last": func(n int) []int { return permutation(n, func(i int) int { return (i + 1) % n }) },
}

func permutation(n int, at func(i int) int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = at(i)
	}
	return p
}

// arranged returns the packets in another order.
func arranged(packets [][]byte, order []int) [][]byte {
	out := make([][]byte, len(packets))
	for i, j := range order {
		out[i] = packets[j]
	}
	return out
}

func TestReassembly(t *testing.T) {
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		for name, order := range arrangements {
			t.Run("R13 "+name, func(t *testing.T) {
				r := newRig(t, defrag.ZoneConfig{Policy: policy, High: 64 << 20})
				for _, size := range []int{8, 16, 64, 512, 1232, 8192} {
					for _, length := range []int{9, 100, 1233, 8000, 16001} {
						udp := peers.UDP(1, 2, wire.Payload(length))
						packets := peers.Split(7, wire.UDPProtocol, udp, size)
						if len(packets) == 1 {
							continue
						}
						f := r.deliver(peers.Packet(wire.UDPProtocol, udp), arranged(packets, order(len(packets)))...)
						if got := len(f.datagram.Boundaries); got != len(packets) {
							t.Errorf("%d boundaries, want %d", got, len(packets))
						}
						r.wantHeld(0, 0)
					}
				}
			})
		}
	})
}

func TestReassemblyOfTheLongest(t *testing.T) {
	forPolicies(t, func(t *testing.T, policy defrag.Policy) {
		for name, order := range arrangements {
			t.Run("R13 8,192 fragments "+name, func(t *testing.T) {
				r := newRig(t, defrag.ZoneConfig{Policy: policy, High: 64 << 20})
				udp := peers.UDP(1, 2, wire.Payload(65535-8))
				packets := peers.Split(7, wire.UDPProtocol, udp, 8)
				if len(packets) != 8192 {
					t.Fatalf("%d fragments", len(packets))
				}
				r.deliver(peers.Packet(wire.UDPProtocol, udp), arranged(packets, order(len(packets)))...)
				r.wantHeld(0, 0)
			})
		}
	})
}

// Datagrams that arrive at once do not mix.
func TestReassemblyInterleaved(t *testing.T) {
	r := newRig(t, defrag.ZoneConfig{})
	const datagrams = 50
	udp := peers.UDP(1, 2, wire.Payload(3000))
	var all [datagrams][][]byte
	for id := range all {
		udp[8] = byte(id)
		all[id] = peers.Split(uint32(id), wire.UDPProtocol, udp, 1000)
	}
	for i := range 3 {
		for id := range all {
			r.hold(all[id][i])
		}
	}
	r.wantHeld(datagrams, 3*datagrams)
	for id := range all {
		udp[8] = byte(id)
		r.deliver(peers.Packet(wire.UDPProtocol, udp), all[id][3])
	}
	r.wantHeld(0, 0)
}
