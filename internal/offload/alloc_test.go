package offload_test

import (
	"runtime/debug"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/refs"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
)

// noAllocations fails the test if a call of f allocates once warm. The leak
// checker's allocations and those that a garbage collection causes, by emptying
// the pools, do not count.
func noAllocations(t *testing.T, what string, f func()) {
	t.Helper()
	refs.SetLeakMode(refs.NoLeakChecking)
	defer refs.SetLeakMode(refs.LeaksPanic)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	if n := testing.AllocsPerRun(200, f); n != 0 {
		t.Errorf("%s: %v allocations", what, n)
	}
}

// borrowed returns the draft's packet in a view of 128 octets and one more, as read
// from a device; it is released at the end of the test.
func borrowed(t testing.TB, d draft) *buffer.Buffer {
	packet := d.packet()
	b := inViews(packet, min(128, len(packet)))
	t.Cleanup(b.Release)
	return &b
}

// longest returns the largest segment there is.
func longest() draft {
	return tcp(65000).with(func(d *draft) { d.options = timestamps; d.pending = true })
}

func TestNothingIsAllocated(t *testing.T) {
	if raceDetector {
		t.Log("the race detector drops pooled objects at random: allocations are not counted")
		return
	}
	for name, d := range map[string]draft{
		"tcp":      longest(),
		"tcp ipv4": longest().with(func(d *draft) { d.v4 = true }),
		"udp":      longest().with(func(d *draft) { d.udp = true }),
	} {
		packet, j := borrowed(t, d), d.job(1428)
		noAllocations(t, name+": Split", func() {
			clone := packet.Clone()
			if err := j.Split(&clone, func(segment buffer.Buffer) { segment.Release() }); err != nil {
				t.Fatal(err)
			}
		})
		noAllocations(t, name+": Finish", func() {
			clone := packet.Clone()
			if err := j.Finish(&clone); err != nil {
				t.Fatal(err)
			}
			clone.Release()
		})
		noAllocations(t, name+": Sizes", func() {
			if j.Count(packet) < 2 {
				t.Fatal("nothing to cut")
			}
		})
		finished := borrowed(t, d.with(func(d *draft) { d.pending = false }))
		noAllocations(t, name+": Valid", func() {
			if !offload.Valid(finished) {
				t.Fatal("invalid")
			}
		})
	}
	pkts := packets(flow(40, 1428))
	defer release(pkts)
	var train offload.Train
	noAllocations(t, "ValidPacket", func() {
		if !offload.ValidPacket(pkts[0]) {
			t.Fatal("invalid")
		}
	})
	noAllocations(t, "Couple", func() {
		if train.Couple(pkts) != len(pkts) {
			t.Fatal("not coupled")
		}
	})
	pkts[0].GSOOptions = gstack.GSO{Type: gstack.GSOTCPv6, MSS: 1000}
	noAllocations(t, "SizesOf", func() {
		if offload.SizesOf(pkts[0]).Count != 2 || offload.JobOfPacket(pkts[0]).MSS != 1000 {
			t.Fatal("nothing to cut")
		}
	})
}
