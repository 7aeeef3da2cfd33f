package tun_test

import (
	"bytes"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/tun"
)

func TestPipeDefaults(t *testing.T) {
	whole := tun.Features{Queues: 1, Checksum: true, TSO4: true, TSO6: true, ECN: true}
	for _, test := range []struct {
		cfg      tun.PipeConfig
		mtu      int
		features tun.Features
	}{
		{tun.PipeConfig{}, tun.DefaultMTU, whole},
		{tun.PipeConfig{MTU: -1, Depth: -1}, tun.DefaultMTU, whole},
		{tun.PipeConfig{MTU: 600}, 600, whole},
		{tun.PipeConfig{MTU: 70000}, tun.MaxMTU, whole},
		{tun.PipeConfig{NoOffload: true}, tun.DefaultMTU, tun.Features{Queues: 1}},
	} {
		a, b := newPipe(t, test.cfg)
		for _, end := range []*tun.Device{a, b} {
			if end.MTU() != test.mtu || end.Endpoint().MTU() != uint32(test.mtu) {
				t.Errorf("%+v: MTU %d, of the endpoint %d, want %d", test.cfg, end.MTU(), end.Endpoint().MTU(), test.mtu)
			}
			if end.Features() != test.features || end.Name() != "" {
				t.Errorf("%+v: got %v, %q, want %v without a name", test.cfg, end.Features(), end.Name(), test.features)
			}
		}
	}
}

// What arrives shares the payload, has headers of its own, and knows nothing
// that the writer knew but what is left undone.
func TestPipeCarriesAPacket(t *testing.T) {
	a, b := newPipe(t, tun.PipeConfig{MTU: tun.MaxMTU})
	sink := make(pipeSink, 1)
	b.Endpoint().Attach(sink)
	for _, test := range []struct {
		name    string
		pushed  int // octets that gVisor pushed as headers
		payload int
		apart   int // octets that stand apart
	}{
		{"short", 60, 20, 80},
		{"no payload behind the headers", 60, 68, 128},
		{"long", 60, 9000, 128},
		{"unparsed", 0, 9000, 128},
		{"many headers", 300, 9000, 300},
	} {
		t.Run(test.name, func(t *testing.T) {
			octets := pipeSegment(pipeOctets(test.payload), false)
			pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{
				ReserveHeaderBytes: test.pushed + 30,
				Payload:            buffer.MakeWithData(octets[test.pushed:]),
			})
			defer pkt.DecRef()
			copy(pkt.NetworkHeader().Push(test.pushed), octets)
			pkt.NetworkProtocolNumber = 99
			pkt.TransportProtocolNumber = header.TCPProtocolNumber
			pkt.Hash, pkt.Mark, pkt.NICID, pkt.InputNICID = 1, 2, 3, 4
			pkt.PktType = tcpip.PacketOutgoing
			pkt.RXChecksumValidated = true
			pkt.NetworkPacketInfo.IsForwardedPacket = true
			var list gstack.PacketBufferList
			list.PushBack(pkt)
			if n, err := a.Endpoint().WritePackets(list); n != 1 || err != nil {
				t.Fatalf("got %d, %v, want 1", n, err)
			}
			clear(pkt.NetworkHeader().Slice()) // gVisor's to write anew.

			got := sink.next(t)
			if !bytes.Equal(pipeContent(got), octets) {
				t.Error("other octets came out")
			}
			checkPipeViews(t, got, pkt, test.apart)
			checkUnknown(t, got)
		})
	}
}

// checkPipeViews checks that the first octets of got stand apart, and that the
// last are those of sent, not copies.
func checkPipeViews(t *testing.T, got, sent *gstack.PacketBuffer, apart int) {
	t.Helper()
	views := got.AsSlices()
	if len(views[0]) != apart {
		t.Errorf("%d octets stand apart, want %d", len(views[0]), apart)
	}
	if got.Size() == apart {
		return
	}
	last, source := views[len(views)-1], sent.AsSlices()
	from := source[len(source)-1]
	if &last[len(last)-1] != &from[len(from)-1] {
		t.Error("the payload was copied")
	}
}

// checkUnknown checks that nothing is known of a packet but its protocol.
func checkUnknown(t *testing.T, pkt *gstack.PacketBuffer) {
	t.Helper()
	if pkt.NetworkProtocolNumber != header.IPv6ProtocolNumber || pkt.TransportProtocolNumber != 0 {
		t.Errorf("protocols %#x and %d, want IPv6's and 0", pkt.NetworkProtocolNumber, pkt.TransportProtocolNumber)
	}
	if pkt.Hash != 0 || pkt.Mark != 0 || pkt.NICID != 0 || pkt.InputNICID != 0 || pkt.PktType != 0 || pkt.Owner != nil ||
		pkt.RXChecksumValidated || pkt.NetworkPacketInfo != (gstack.NetworkPacketInfo{}) {
		t.Error("something of the writer's is known")
	}
	if pkt.HeaderSize() != 0 || pkt.Data().Size() != pkt.Size() {
		t.Error("the packet is parsed")
	}
}

// pipeContent returns a copy of the octets of pkt, which is borrowed.
func pipeContent(pkt *gstack.PacketBuffer) []byte { return bytes.Join(pkt.AsSlices(), nil) }

func TestPipeLargeSegments(t *testing.T) {
	octets := pipeSegment(pipeOctets(60000), true)
	t.Run("whole", func(t *testing.T) {
		a, b := newPipe(t, tun.PipeConfig{})
		sink := make(pipeSink, 1)
		b.Endpoint().Attach(sink)
		gso := pipeLarge(1440)
		gso.L3HdrLen = 20 // gVisor's is not always right.
		if n, err := pipeWrite(a.Endpoint(), octets, gso); n != 1 || err != nil {
			t.Fatalf("got %d, %v, want 1", n, err)
		}
		got := sink.next(t)
		if got.GSOOptions != pipeLarge(1440) || !bytes.Equal(pipeContent(got), octets) {
			t.Errorf("got %+v and perhaps other octets, want %+v", got.GSOOptions, pipeLarge(1440))
		}
	})
	t.Run("cut", func(t *testing.T) {
		a, b := newPipe(t, tun.PipeConfig{NoOffload: true})
		sink := make(pipeSink, 100)
		b.Endpoint().Attach(sink)
		if n, err := pipeWrite(a.Endpoint(), octets, pipeLarge(1440)); n != 1 || err != nil {
			t.Fatalf("got %d, %v, want 1", n, err)
		}
		var payload []byte
		for len(payload) < 60000 {
			got := sink.next(t)
			packet := got.ToBuffer()
			if got.Size() > tun.DefaultMTU || got.GSOOptions != (gstack.GSO{}) || !offload.Valid(&packet) {
				t.Errorf("got a segment of %d octets, %+v left, or one with a wrong checksum", got.Size(), got.GSOOptions)
			}
			packet.Release()
			payload = append(payload, pipeContent(got)[60:]...)
		}
		if !bytes.Equal(payload, pipeOctets(60000)) {
			t.Error("the segments hold other octets")
		}
	})
}

// A checksum that is left to be finished is finished where there is no offload.
func TestPipeFinishesChecksums(t *testing.T) {
	a, b := newPipe(t, tun.PipeConfig{NoOffload: true})
	sink := make(pipeSink, 1)
	b.Endpoint().Attach(sink)
	pending := pipeSegment(pipeOctets(500), true)
	if n, err := pipeWrite(a.Endpoint(), pending, pipeLarge(1440)); n != 1 || err != nil {
		t.Fatalf("got %d, %v, want 1", n, err)
	}
	got := sink.next(t)
	if !bytes.Equal(pipeContent(got), pipeSegment(pipeOctets(500), false)) || got.GSOOptions != (gstack.GSO{}) {
		t.Error("the checksum was not finished")
	}
}

// A device that says it verifies checksums does.
func TestPipeVerifiesChecksums(t *testing.T) {
	for _, plain := range []bool{false, true} {
		a, b := newPipe(t, tun.PipeConfig{NoOffload: plain})
		sink := make(pipeSink, 2)
		b.Endpoint().Attach(sink)
		corrupt := pipeDatagram(pipeOctets(500))
		corrupt[300] ^= 1
		good := pipeDatagram(pipeOctets(400))
		for _, octets := range [][]byte{corrupt, good} {
			if n, err := pipeWrite(a.Endpoint(), octets, gstack.GSO{}); n != 1 || err != nil {
				t.Fatalf("got %d, %v, want 1", n, err)
			}
		}
		want, dropped := good, uint64(1)
		if plain { // gVisor will look.
			want, dropped = corrupt, 0
		}
		if !bytes.Equal(pipeContent(sink.next(t)), want) || b.Stats().BadChecksum != dropped {
			t.Errorf("without offload %v: got %+v, or another packet", plain, b.Stats())
		}
		if plain {
			sink.next(t)
		}
	}
}

func TestPipeRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		octets []byte
		gso    gstack.GSO
	}{
		{"longer than the MTU", pipeDatagram(make([]byte, 1453)), gstack.GSO{}},
		{"segments longer than the MTU", pipeSegment(make([]byte, 9000), true), pipeLarge(1441)},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := newPipe(t, tun.PipeConfig{})
			sink := make(pipeSink, 2)
			b.Endpoint().Attach(sink)
			n, err := pipeWrite(a.Endpoint(), test.octets, test.gso)
			if _, full := err.(*tcpip.ErrNoBufferSpace); n != 0 || !full || a.Stats().Refused != 1 {
				t.Errorf("got %d, %v, %+v, want a refusal", n, err, a.Stats())
			}
			a.Endpoint().SetMTU(1501)
			if n, err := pipeWrite(a.Endpoint(), test.octets, test.gso); n != 1 || err != nil {
				t.Errorf("got %d, %v with an MTU of 1501, want 1", n, err)
			}
			sink.next(t)
		})
	}
	t.Run("cannot be cut", func(t *testing.T) {
		a, b := newPipe(t, tun.PipeConfig{NoOffload: true})
		sink := make(pipeSink, 1)
		b.Endpoint().Attach(sink)
		octets := pipeSegment(make([]byte, 100), true)
		octets[52] = 0 // The TCP data offset.
		if n, err := pipeWrite(a.Endpoint(), octets, pipeLarge(50)); n != 0 || err == nil {
			t.Errorf("got %d, %v, want a refusal", n, err)
		}
	})
}
