package offload_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/refs"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/internal/wire"
)

// unchecked turns leak checking off until the end of the benchmark. It must be
// called before anything is made that is counted.
func unchecked(b *testing.B) {
	refs.SetLeakMode(refs.NoLeakChecking)
	b.Cleanup(func() { refs.SetLeakMode(refs.LeaksPanic) })
}

func BenchmarkSplit(b *testing.B) {
	unchecked(b)
	d := longest()
	packet, j := borrowed(b, d), d.job(1428)
	b.SetBytes(packet.Size())
	b.ReportAllocs()
	for b.Loop() {
		clone := packet.Clone()
		if err := j.Split(&clone, func(segment buffer.Buffer) { segment.Release() }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValid(b *testing.B) {
	packet := borrowed(b, tcp(1428))
	b.SetBytes(packet.Size())
	b.ReportAllocs()
	for b.Loop() {
		offload.Valid(packet)
	}
}

func BenchmarkFinish(b *testing.B) {
	unchecked(b)
	packet := borrowed(b, longest())
	j := longest().job(65000)
	b.SetBytes(packet.Size())
	b.ReportAllocs()
	for b.Loop() {
		clone := packet.Clone()
		if err := j.Finish(&clone); err != nil {
			b.Fatal(err)
		}
		clone.Release()
	}
}

func BenchmarkCouple(b *testing.B) {
	drafts := flow(40, 1428)
	for name, pending := range map[string]bool{"finished": false, "pending": true} {
		b.Run(name, func(b *testing.B) {
			for i := range drafts {
				drafts[i].pending = pending
			}
			pkts := packets(drafts)
			defer release(pkts)
			var train offload.Train
			b.SetBytes(40 * int64(pkts[0].Size()))
			b.ReportAllocs()
			for b.Loop() {
				train.Couple(pkts)
			}
		})
	}
}

func BenchmarkCoupleOfOthers(b *testing.B) {
	d := tcp(1000).with(func(d *draft) { d.udp = true })
	pkts := []*gstack.PacketBuffer{received(d.packet()), received(wire.Payload(100))}
	defer release(pkts)
	var train offload.Train
	b.ReportAllocs()
	for b.Loop() {
		train.Couple(pkts)
	}
}
