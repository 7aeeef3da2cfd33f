package tun_test

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/tun"
)

// Whatever stands ahead of whatever packet, each is delivered, in pieces perhaps,
// or counted once.
func FuzzReceive(f *testing.F) {
	for _, d := range []draft{tcpOf(100), udpOf(100), icmpOf(10), tcpOf(100).over4(), udpOf(100).behind(options8)} {
		f.Add(ahead{}.before(nil), d.packet())
		f.Add(ahead{flags: dataValid}.before(nil), d.packet())
		f.Add(d.unsummed().before(nil), d.unfinished().packet())
		f.Add(d.uncut(30).before(nil), d.unfinished().packet())
	}
	f.Add([]byte{1, 2, 3}, []byte(nil))
	f.Add(ahead{}.before(nil), (wire.Header{Source: ends6[0], Destination: ends6[1]}).Split(1, wire.UDPProtocol, wire.Payload(64), 32)[0])

	device, far := overheaded(f, everything, 1)
	record := &recorder{make(chan packet, 1<<16)} // as many as one can be cut into
	device.Endpoint().Attach(record)
	last := ahead{}.before(icmpOf(2000).packet())
	f.Fuzz(func(t *testing.T, header, packet []byte) {
		octets := append(append([]byte(nil), header...), packet...)
		if len(octets) == 0 || len(octets) > aheadSize+65535 || bytes.HasSuffix(octets, last[aheadSize:]) {
			return // No packet at all, or none that can be told from the last.
		}
		before := device.Stats()
		write(t, far[0], octets)
		write(t, far[0], last)
		delivered := 0
		for {
			p := record.next(t, anyPacket)
			if bytes.Equal(p.octets, last[aheadSize:]) {
				break
			}
			delivered++
			checkDelivered(t, p, octets)
		}
		// The reader counts a packet before it delivers the next.
		checkCounted(t, before, device.Stats(), delivered)
	})
}

// checkDelivered checks what was delivered of octets.
func checkDelivered(t *testing.T, p packet, octets []byte) {
	t.Helper()
	a, packet := aheadOf(octets)
	if a.flags&needsSum == 0 || int(a.start)+int(a.offset) < 120 {
		checkPins(t, p) // Else what is ahead of the checksum stands in one view.
	}
	if a.kind&^ecnBit != unix.VIRTIO_NET_HDR_GSO_UDP_L4 && len(p.octets) != len(packet) {
		t.Errorf("%d octets of %d were delivered", len(p.octets), len(packet))
	}
	if a.flags&needsSum == 0 && !bytes.Equal(p.octets, packet) {
		t.Error("a packet in which nothing was left undone was changed")
	}
	if undone := p.left.Type != 0; undone && (!p.left.NeedsCsum || p.left.MSS == 0 || int(p.left.L3HdrLen)+20 > len(p.octets)) {
		t.Errorf("left %+v of %d octets", p.left, len(p.octets))
	}
}

// checkCounted checks that one packet was delivered or counted.
func checkCounted(t *testing.T, before, after tun.Stats, delivered int) {
	t.Helper()
	lost := after.NotIP + after.Malformed + after.BadChecksum - before.NotIP - before.Malformed - before.BadChecksum
	if lost+uint64(delivered) == 0 || after.Malformed > before.Malformed && (lost > 1 || delivered > 0) {
		t.Errorf("%d were delivered, counted are %+v, before %+v", delivered, after, before)
	}
	after.NotIP, after.Malformed, after.BadChecksum = before.NotIP, before.Malformed, before.BadChecksum
	if after != before {
		t.Errorf("counted are %+v, before %+v", after, before)
	}
}
