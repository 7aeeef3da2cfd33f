package capture_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/capture"
	"github.com/v6stack/v6stack/internal/wire"
)

// seeds adds small captures of every kind.
func seeds(f *testing.F) {
	_, fragments := echo(hosts, 1, 60, 24)
	other := hosts.Packet(wire.UDPProtocol, hosts.UDP(1, 2, []byte("x")))
	for i, frame := range frames {
		file := newPcapFile(frame.linkType)
		file.order = bothOrders[i%2]
		var packets [][]byte
		for _, p := range append(fragments, other, fragments[0]) {
			packets = append(packets, join(frame.header, p))
		}
		f.Add(uint8(i), file.file(packets...))
	}
	for _, order := range bothOrders {
		ng := ngFile{order}
		f.Add(uint8(0), join(
			ng.section(ng.option(1, []byte("comment"))),
			ng.iface(capture.Raw, 64, ng.option(9, []byte{0x8a}), ng.option(13, []byte{4})),
			ng.enhanced(0, packetAt{data: fragments[1]}, ng.option(3, []byte("hash"))),
			ng.obsolete(0, packetAt{fraction: 1, data: fragments[0]}, ng.option(2, make([]byte, 4))),
			ng.simple(other[:48], 60),
			ng.block(5, make([]byte, 12)),
			ng.section(),
			ng.iface(capture.Ethernet, 0),
			ng.enhanced(0, packetAt{fraction: 2, data: join(frames[5].header, fragments[2])})))
	}
}

// FuzzCapture reads any octets: nothing panics, what is written can be read
// again whole, and there is no more to reassemble in it.
func FuzzCapture(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, choice uint8, in []byte) {
		opts := capture.Options{
			Zoning: capture.Zoning(choice / 3 % 3),
			Zone:   defrag.ZoneConfig{Policy: defrag.Policy(choice % 3)},
		}
		if _, err := capture.NewReader(bytes.NewReader(in)); err != nil {
			return
		}
		r := defragment(t, in, opts)
		var damage *capture.Damage
		if r.err != nil && !errors.As(r.err, &damage) {
			t.Fatalf("error %v: want a Damage", r.err)
		}
		mustHold(t, r.out, r.counts.Written)
		mustHold(t, r.errors, r.counts.Errors)
		if opts.Zone.Policy == defrag.Linux {
			return // passes some fragments on
		}
		again := defragment(t, r.out, opts)
		again.mustBe(t, r.out)
	})
}

// mustHold fails unless file is a sound capture of that many packets.
func mustHold(t *testing.T, file []byte, packets uint64) {
	t.Helper()
	reader, err := capture.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("read again: %v", err)
	}
	var count uint64
	for {
		rec, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("read again: %v", err)
		}
		if rec.Number != 0 {
			count++
		}
	}
	if count != packets {
		t.Errorf("%d packets, want %d", count, packets)
	}
}
