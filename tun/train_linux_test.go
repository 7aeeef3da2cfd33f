package tun_test

import (
	"bytes"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/tun"
)

// Segments that follow each other go as one, of which whoever cuts it makes the
// same again.
func TestTrains(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	for name, d := range map[string]draft{
		"IPv6":       tcpOf(20000),
		"IPv4":       tcpOf(20000).over4(),
		"extensions": tcpOf(20000).behind(options8),
		"even":       tcpOf(14000),
		"two":        tcpOf(1401),
		"closing":    tcpOf(20000).with(wire.FIN | wire.PSH),
		"congested":  tcpOf(20000).over4().with(wire.CWR | wire.ECE),
		"no options": func() draft { d := tcpOf(20000); d.options = nil; return d }(),
		"the most":   tcpOf(65535 - 32),
	} {
		t.Run(name, func(t *testing.T) {
			segments := d.pieces(1400)
			a := d.uncut(1400)
			if d.flags&wire.CWR != 0 {
				a.kind |= ecnBit
			}
			if name == "the most" { // One segment's octets are not in it.
				d.payload = d.payload[:len(segments)*1400-1400]
				checkSent(t, device, far[0], plainPackets(segments...), []sent{
					{a, d.unfinished().packet()}, {ahead{}, segments[len(segments)-1]},
				})
				return
			}
			checkSent(t, device, far[0], plainPackets(segments...), []sent{{a, d.unfinished().packet()}})
			checkCutAgain(t, a, d.unfinished().packet(), segments)
		})
	}
}

// checkCutAgain checks what comes of a large segment with a ahead.
func checkCutAgain(t *testing.T, a ahead, packet []byte, want [][]byte) {
	t.Helper()
	octets := buffer.MakeWithData(packet)
	job := offload.Job{Kind: offload.TCP, MSS: int(a.size), Checksum: true, Start: int(a.start), Offset: int(a.offset)}
	if err := job.Split(&octets, func(segment buffer.Buffer) {
		if len(want) == 0 || !bytes.Equal(segment.Flatten(), want[0]) {
			t.Errorf("a segment is %x, want %x", segment.Flatten(), want[:min(1, len(want))])
		}
		want = want[min(1, len(want)):]
		segment.Release()
	}); err != nil || len(want) > 0 {
		t.Errorf("%v, %d segments are missing", err, len(want))
	}
}

// Segments of which the checksum is left to be finished are coupled as well.
func TestTrainsOfUnfinished(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	d := tcpOf(7000)
	var pkts []*gstack.PacketBuffer
	for at := 0; at < len(d.payload); at += 1400 {
		segment := d
		segment.seq += uint32(at)
		segment.payload = d.payload[at : at+1400]
		pkts = append(pkts, segment.uncutPacket(1400, 40, 32))
	}
	checkSent(t, device, far[0], pkts, []sent{{d.uncut(1400), d.unfinished().packet()}})
}

// apart returns lists of packets none of which may be made one with another.
func apart() map[string][][]byte {
	d := tcpOf(5600)
	good := d.pieces(1400)
	second := func(change func(d *draft)) [][]byte {
		next := d
		next.seq, next.payload = d.seq+1400, d.payload[1400:2800]
		change(&next)
		return [][]byte{good[0], next.packet()}
	}
	spoilt := slices.Clone(good[1])
	spoilt[len(spoilt)-1] ^= 1
	h := wire.Header{Source: ends6[0], Destination: ends6[1]}
	v4 := d.over4().pieces(1400)
	return map[string][][]byte{
		"a gap":               {good[0], good[2]},
		"the wrong order":     {good[1], good[0]},
		"the same twice":      {good[0], good[0]},
		"another flow":        second(func(d *draft) { d.from++ }),
		"other options":       second(func(d *draft) { d.options = []byte{1, 1, 8, 10, 1, 2, 3, 5, 5, 6, 7, 8} }),
		"fewer options":       second(func(d *draft) { d.options = nil }),
		"another class":       second(func(d *draft) { d.class = 3 }),
		"CWR in the second":   second(func(d *draft) { d.flags |= wire.CWR }),
		"ECE in the second":   second(func(d *draft) { d.flags |= wire.ECE }),
		"RST":                 second(func(d *draft) { d.flags |= wire.RST }),
		"URG":                 second(func(d *draft) { d.flags |= wire.URG }),
		"a longer second":     second(func(d *draft) { d.payload = wire.Payload(1401) }),
		"no payload":          second(func(d *draft) { d.payload = nil }),
		"a wrong checksum":    {good[0], spoilt},
		"an extension header": second(func(d *draft) { d.extensions = options8 }),
		"FIN in the first":    {d.with(wire.FIN).pieces(5600)[0], second(func(d *draft) { d.seq += 5600 - 1400 })[1]},
		"UDP":                 {udpOf(1400).packet(), udpOf(1400).packet()},
		"fragments":           h.Split(1, wire.TCP, good[0][40:], 712),
		"an identification":   {v4[0], v4[2]},
		"IPv4 and IPv6":       {good[0], v4[1]},
	}
}

func TestNoTrains(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	for name, packets := range apart() {
		t.Run(name, func(t *testing.T) {
			checkSent(t, device, far[0], plainPackets(packets...), bare(packets...))
		})
	}
	segments := tcpOf(5600).pieces(1400)
	for name, features := range map[string]tun.Features{"nothing": {}, "checksum": {Checksum: true}, "TSO6 alone": {Checksum: true, TSO6: true}} {
		t.Run("granted "+name, func(t *testing.T) {
			device, far := overheaded(t, features, 1)
			checkSent(t, device, far[0], plainPackets(segments...), bare(segments...))
		})
	}
}

// A train ends where another begins, and has 128 packets at most.
func TestTrainsInARow(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	first, second, short := tcpOf(7000).with(wire.PSH), tcpOf(4200).over4(), tcpOf(30000)
	second.from++
	packets := append(first.pieces(1400), udpOf(100).packet())
	packets = append(packets, second.pieces(1400)...)
	packets = append(packets, short.pieces(100)...)
	want := []sent{
		{first.uncut(1400), first.unfinished().packet()},
		{ahead{}, udpOf(100).packet()},
		{second.uncut(1400), second.unfinished().packet()},
	}
	for at := 0; at < 30000; at += 12800 {
		part := short
		part.seq += uint32(at)
		part.payload = short.payload[at:min(at+12800, 30000)]
		want = append(want, sent{part.uncut(100), part.unfinished().packet()})
	}
	checkSent(t, device, far[0], plainPackets(packets...), want)
}

// Where a system call does not take a train's views, packets go one by one.
func TestTrainsOfManyViews(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	d := tcpOf(7000)
	views := slices.Repeat([]int{3}, 400)
	var pkts []*gstack.PacketBuffer
	for _, octets := range d.pieces(1400) {
		pkts = append(pkts, split(octets, views...))
	}
	if n, err := sendAll(device.Endpoint(), pkts...); n != 5 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	var stream []byte
	for len(stream) < len(d.payload) {
		a, octets := aheadOf(receive(t, far[0]))
		if a.kind != 0 && a != d.uncut(1400) {
			t.Errorf("got %+v ahead", a)
		}
		stream = append(stream, octets[d.headers():]...)
	}
	if !bytes.Equal(stream, d.payload) {
		t.Error("other octets came out")
	}
}
