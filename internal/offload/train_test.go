package offload_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/internal/wire"
)

// flow returns n segments of a flow, each with size octets of payload.
func flow(n, size int) []draft {
	var drafts []draft
	for i := range n {
		d := tcp(size)
		d.options = timestamps
		d.seq += uint32(i * size)
		d.id += uint16(i)
		d.payload[0] = byte(i)
		drafts = append(drafts, d)
	}
	return drafts
}

// packets returns the drafts' packets as they come in, the caller's.
func packets(drafts []draft) []*gstack.PacketBuffer {
	var pkts []*gstack.PacketBuffer
	for _, d := range drafts {
		pkts = append(pkts, d.mark(received(d.packet())))
	}
	return pkts
}

// mark says in pkt what the draft leaves undone.
func (d draft) mark(pkt *gstack.PacketBuffer) *gstack.PacketBuffer {
	if d.pending {
		pkt.GSOOptions = gstack.GSO{Type: gstack.GSOTCPv6, NeedsCsum: true, MSS: 1440, L3HdrLen: 40, CsumOffset: 16}
	}
	return pkt
}

func release(pkts []*gstack.PacketBuffer) {
	for _, pkt := range pkts {
		pkt.DecRef()
	}
}

// coupled returns how many of the drafts' packets go as one.
func coupled(drafts []draft) int {
	pkts := packets(drafts)
	defer release(pkts)
	var train offload.Train
	return train.Couple(pkts)
}

// large builds the large segment from what Couple says of pkts.
func large(train *offload.Train, pkts []*gstack.PacketBuffer) buffer.Buffer {
	b := buffer.MakeWithView(buffer.NewViewWithData(train.Headers()))
	for _, pkt := range pkts {
		payload := pkt.ToBuffer()
		payload.TrimFront(int64(len(train.Headers())))
		b.Merge(&payload)
	}
	return b
}

// What Couple makes one, Split makes the same packets again.
func TestCoupledAndSplit(t *testing.T) {
	for name, change := range map[string]func(i int, d *draft){
		"plain":        func(int, *draft) {},
		"ipv4":         func(_ int, d *draft) { d.v4 = true },
		"ipv4 options": func(_ int, d *draft) { d.v4, d.df, d.ipOptions, d.options = true, false, 10, wire.Payload(40) },
		"no options":   func(_ int, d *draft) { d.options = nil },
		"extensions":   func(_ int, d *draft) { d.extensions = extensions },
		"ece":          func(_ int, d *draft) { d.flags |= ece },
		"reserved":     func(_ int, d *draft) { d.reserved = 1 },
		"shorter last": func(i int, d *draft) { d.payload = d.payload[:500-i/9*499] },
		"cwr first": func(i int, d *draft) {
			if i == 0 {
				d.flags |= cwr
			}
		},
		"psh last": func(i int, d *draft) {
			if i == 9 {
				d.flags |= psh
			}
		},
		"fin last": func(i int, d *draft) {
			if i == 9 {
				d.flags |= fin | psh
			}
		},
	} {
		for form, make := range map[string]func(d draft) *gstack.PacketBuffer{
			"received": func(d draft) *gstack.PacketBuffer { return received(d.packet()) },
			"sent":     draft.sent,
			"sent in views": func(d draft) *gstack.PacketBuffer {
				p := d.packet()
				pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{
					ReserveHeaderBytes: d.start() + 9,
					Payload:            inViews(p[d.start():], 3, 19, 33),
				})
				copy(pkt.NetworkHeader().Push(d.start()), p)
				return pkt
			},
			"in views": func(d draft) *gstack.PacketBuffer { p := d.packet(); return received(p, everyOctet(p)...) },
		} {
			t.Run(name+", "+form, func(t *testing.T) {
				var want [][]byte
				var pkts []*gstack.PacketBuffer
				for i, d := range flow(10, 500) {
					change(i, &d)
					want = append(want, d.packet())
					pkts = append(pkts, make(d))
				}
				defer release(pkts)
				var train offload.Train
				if n := train.Couple(pkts); n != 10 {
					t.Fatalf("%d packets coupled, want 10", n)
				}
				equal(t, split(t, train.Job(), large(&train, pkts)), want)
			})
		}
	}
}

// The large segment's headers are those that a draft of it has.
func TestHeaders(t *testing.T) {
	for _, v4 := range []bool{false, true} {
		drafts := flow(4, 100)
		for i := range drafts {
			drafts[i].v4 = v4
			drafts[i].pending = i%2 == 0
		}
		drafts[0].flags |= cwr
		drafts[3].flags |= psh | fin
		want := drafts[0]
		want.pending = true
		want.payload = nil
		for _, d := range drafts {
			want.payload = append(want.payload, d.payload...)
		}
		want.flags |= psh | fin
		pkts := packets(drafts)
		var train offload.Train
		if n := train.Couple(pkts); n != 4 {
			t.Fatalf("ipv4 %v: %d packets coupled, want 4", v4, n)
		}
		if got := flat(large(&train, pkts)); !bytes.Equal(got, want.packet()) {
			t.Errorf("ipv4 %v: large segment is\n%x, want\n%x", v4, got, want.packet())
		}
		if got := train.Job(); got != want.job(100) {
			t.Errorf("ipv4 %v: job %+v, want %+v", v4, got, want.job(100))
		}
		release(pkts)
	}
}

// The packets of a flow of six, one of which is different, that are coupled from
// the front.
func TestCoupledUpTo(t *testing.T) {
	for name, c := range map[string]struct {
		change     func(d *draft)
		at0, at, v int // coupled if it is the first; if it is the fourth; IPv4 only
	}{
		"same":              {func(*draft) {}, 6, 6, 0},
		"psh":               {func(d *draft) { d.flags |= psh }, 1, 4, 0},
		"fin":               {func(d *draft) { d.flags |= fin }, 1, 4, 0},
		"cwr":               {func(d *draft) { d.flags |= cwr }, 6, 3, 0},
		"ece":               {func(d *draft) { d.flags |= ece }, 1, 3, 0},
		"syn":               {func(d *draft) { d.flags |= syn }, 1, 3, 0},
		"rst":               {func(d *draft) { d.flags |= rst }, 1, 3, 0},
		"urg":               {func(d *draft) { d.flags |= urg }, 1, 3, 0},
		"no ack":            {func(d *draft) { d.flags = 0 }, 1, 3, 0},
		"reserved":          {func(d *draft) { d.reserved = 1 }, 1, 3, 0},
		"options":           {func(d *draft) { d.options = append(timestamps[:11:11], 0) }, 1, 3, 0},
		"longer options":    {func(d *draft) { d.options = append(timestamps, 1, 1, 1, 1) }, 1, 3, 0},
		"window":            {func(d *draft) { d.window++ }, 1, 3, 0},
		"urgent pointer":    {func(d *draft) { d.urgent++ }, 1, 3, 0},
		"ack number":        {func(d *draft) { d.ack++ }, 1, 3, 0},
		"gap":               {func(d *draft) { d.seq++ }, 1, 3, 0},
		"again":             {func(d *draft) { d.seq -= 100 }, 1, 3, 0},
		"source port":       {func(d *draft) { d.from++ }, 1, 3, 0},
		"destination port":  {func(d *draft) { d.to++ }, 1, 3, 0},
		"ecn":               {func(d *draft) { d.class ^= 1 }, 1, 3, 0},
		"traffic class":     {func(d *draft) { d.class ^= 0x80 }, 1, 3, 0},
		"hop limit":         {func(d *draft) { d.hops-- }, 1, 3, 0},
		"udp":               {func(d *draft) { d.udp = true }, 1, 3, 0},
		"no payload":        {func(d *draft) { d.payload = nil }, 1, 3, 0},
		"shorter":           {func(d *draft) { d.payload = d.payload[:99] }, 1, 4, 0},
		"longer":            {func(d *draft) { d.payload = wire.Payload(101) }, 1, 3, 0},
		"flow label":        {func(d *draft) { d.label++ }, 1, 3, 6},
		"extension headers": {func(d *draft) { d.extensions = extensions }, 1, 3, 6},
		"fragment":          {func(d *draft) { d.extensions = d.extensions.With(wire.FragmentHeader, make([]byte, 8)) }, 1, 3, 6},
		"identification":    {func(d *draft) { d.id++ }, 1, 3, 4},
		"don't fragment":    {func(d *draft) { d.df = false }, 1, 3, 4},
		"ipv4 options":      {func(d *draft) { d.ipOptions = 1 }, 1, 3, 4},
		"other version":     {func(d *draft) { d.v4 = !d.v4 }, 1, 3, 0},
	} {
		for _, v4 := range []bool{false, true} {
			want0, want := c.at0, c.at
			if v4 && c.v == 6 || !v4 && c.v == 4 {
				want0, want = 6, 6 // The other version has no such field.
			}
			for _, pending := range []bool{false, true} {
				for at, want := range map[int]int{0: want0, 3: want} {
					drafts := flow(6, 100)
					for i := range drafts {
						drafts[i].v4, drafts[i].pending = v4, pending
					}
					c.change(&drafts[at])
					if got := coupled(drafts); got != want {
						t.Errorf("%s at %d, ipv4 %v, pending %v: %d packets coupled, want %d", name, at, v4, pending, got, want)
					}
				}
			}
		}
	}
}

// Packets that are never coupled, even though all are alike.
func TestNeverCoupled(t *testing.T) {
	detour := wire.Options(1)
	detour[3] = 1
	for name, change := range map[string]func(d *draft){
		"atomic fragments": func(d *draft) { d.extensions = d.extensions.With(wire.FragmentHeader, make([]byte, 8)) },
		"first fragments":  func(d *draft) { d.extensions = d.extensions.With(wire.FragmentHeader, []byte{0, 0, 0, 1, 0, 0, 0, 0}) },
		"authenticated":    func(d *draft) { d.extensions = d.extensions.With(wire.AH, wire.Authentication(6)) },
		"detours":          func(d *draft) { d.extensions = d.extensions.With(wire.Routing, detour) },
		"long headers":     func(d *draft) { d.extensions = d.extensions.With(wire.DestinationOptions, wire.Options(16)) },
		"acknowledgements": func(d *draft) { d.payload, d.seq = nil, 0 },
		"no flags":         func(d *draft) { d.flags = 0 },
		"syn":              func(d *draft) { d.flags |= syn },
		"all psh":          func(d *draft) { d.flags |= psh },
		"udp":              func(d *draft) { d.udp = true },
	} {
		drafts := flow(3, 100)
		for i := range drafts {
			change(&drafts[i])
		}
		if got := coupled(drafts); got != 1 {
			t.Errorf("%s: %d packets coupled, want 1", name, got)
		}
	}
	if got := coupled(nil); got != 0 {
		t.Errorf("nothing: %d packets coupled, want 0", got)
	}
	if got := coupled(flow(1, 1)); got != 1 {
		t.Errorf("one: %d packets coupled, want 1", got)
	}
}

// A shorter packet is the last even if another comes right behind it.
func TestShorterIsLast(t *testing.T) {
	for _, v4 := range []bool{false, true} {
		drafts := flow(5, 100)
		drafts[2].payload = drafts[2].payload[:60]
		for i := range drafts {
			drafts[i].v4 = v4
			if i > 2 {
				drafts[i].seq -= 40
			}
		}
		if got := coupled(drafts); got != 3 {
			t.Errorf("ipv4 %v: %d packets coupled, want 3", v4, got)
		}
		if got := coupled(drafts[3:]); got != 2 {
			t.Errorf("ipv4 %v: %d packets coupled behind it, want 2", v4, got)
		}
	}
}

// A train is never longer than a packet can be.
func TestLongestTrain(t *testing.T) {
	for _, v4 := range []bool{false, true} {
		for _, size := range []int{1000, 1448, 7000, 32000} {
			drafts := flow(100, size)
			for i := range drafts {
				drafts[i].v4 = v4
			}
			headers := drafts[0].headers()
			want := (65535 - headers) / size
			pkts := packets(drafts)
			var train offload.Train
			if got := train.Couple(pkts); got != want {
				t.Errorf("ipv4 %v, %d octets: %d packets coupled, want %d", v4, size, got, want)
			}
			release(pkts)
		}
	}
	exact := flow(2, 65535-72-32000)
	exact[1].payload = exact[1].payload[:32000]
	for extra, want := range []int{2, 1} {
		exact[1].payload = wire.Payload(32000 + extra)
		if got := coupled(exact); got != want {
			t.Errorf("%d octets more than there may be: %d packets coupled, want %d", extra, got, want)
		}
	}
}

// A train may be used again, whatever it was used for.
func TestTrainAgain(t *testing.T) {
	var train offload.Train
	for _, n := range []int{5, 1, 3, 2} {
		for _, v4 := range []bool{true, false} {
			drafts := flow(n, 100+n)
			var want [][]byte
			for i := range drafts {
				drafts[i].v4 = v4
				want = append(want, drafts[i].packet())
			}
			pkts := packets(drafts)
			if got := train.Couple(pkts); got != n {
				t.Errorf("%d packets coupled, want %d", got, n)
			} else if n > 1 {
				equal(t, split(t, train.Job(), large(&train, pkts)), want)
			}
			release(pkts)
		}
	}
}

func ExampleTrain() {
	drafts := flow(3, 1000)
	pkts := packets(drafts)
	defer release(pkts)
	var train offload.Train
	n := train.Couple(pkts)
	fmt.Println(n, "packets,", binary.BigEndian.Uint16(train.Headers()[4:])-32, "octets of payload")
	// Output: 3 packets, 3000 octets of payload
}
