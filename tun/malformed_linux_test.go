package tun_test

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/tun"
)

// malformed returns what no system hands over.
func malformed() map[string][]byte {
	segment, datagram := tcpOf(3000).unfinished(), udpOf(3000).unfinished()
	table := map[string][]byte{}
	for n := 1; n <= aheadSize; n++ {
		table[fmt.Sprintf("%d octets", n)] = make([]byte, n)
	}
	change := func(name string, d draft, change func(a *ahead)) {
		a := d.uncut(1000)
		change(&a)
		table[name] = a.before(d.packet())
	}
	for name, d := range map[string]draft{"TCP": segment, "TCP over IPv4": segment.over4(), "UDP": datagram, "UDP over IPv4": datagram.over4()} {
		length := uint16(len(d.packet()))
		change(name+" by 0 octets", d, func(a *ahead) { a.size = 0 })
		change(name+" without NEEDS_CSUM", d, func(a *ahead) { a.flags = 0 })
		change(name+" with DATA_VALID instead", d, func(a *ahead) { a.flags = dataValid })
		change(name+" that begins at the end", d, func(a *ahead) { a.start = length })
		change(name+" that begins near the end", d, func(a *ahead) { a.start = length - 7 })
		change(name+" that begins outside", d, func(a *ahead) { a.start = 65535 })
		change(name+" with the checksum elsewhere", d, func(a *ahead) { a.offset = 4 })
		change(name+" with the checksum outside", d, func(a *ahead) { a.offset = 65535 })
		change(name+" that is UFO", d, func(a *ahead) { a.kind = unix.VIRTIO_NET_HDR_GSO_UDP })
		change(name+" of no kind", d, func(a *ahead) { a.kind = 2 })
		change(name+" of the last kind", d, func(a *ahead) { a.kind = 0x7f })
		table[name+", its checksum outside"] = ahead{flags: needsSum, start: length - 1, offset: uint16(d.offset())}.before(d.packet())
		table[name+", its checksum half outside"] = ahead{flags: needsSum, start: length - 3, offset: 2}.before(d.packet())
	}
	change("TCP over IPv4 that is IPv6", segment, func(a *ahead) { a.kind = unix.VIRTIO_NET_HDR_GSO_TCPV4 })
	change("TCP over IPv6 that is IPv4", segment.over4(), func(a *ahead) { a.kind = unix.VIRTIO_NET_HDR_GSO_TCPV6 })
	change("UDP that is TCP", segment, func(a *ahead) { a.kind, a.offset = unix.VIRTIO_NET_HDR_GSO_UDP_L4, 6 })
	change("UDP that begins elsewhere", datagram.behind(options8), func(a *ahead) { a.start = 40 })
	short := datagram.packet()
	table["UDP longer than it says"] = datagram.uncut(1000).before(append(short, 0))
	table["UDP shorter than it says"] = datagram.uncut(1000).before(short[:len(short)-1])
	fragment := wire.Header{Source: ends6[0], Destination: ends6[1]}.Fragment(
		wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, short[40:])
	table["UDP in fragments"] = ahead{needsSum, unix.VIRTIO_NET_HDR_GSO_UDP_L4, 56, 1000, 48, 6}.before(fragment)
	return table
}

func TestMalformed(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	record := newRecorder()
	device.Endpoint().Attach(record)
	for name, octets := range malformed() {
		t.Run(name, func(t *testing.T) {
			before := device.Stats()
			write(t, far[0], octets)
			awaitQuiet(t, record, far[0])
			before.Malformed++
			if got := device.Stats(); got != before {
				t.Errorf("got %+v, want %+v", got, before)
			}
		})
	}
}

// summedPackets are packets that have checksums.
func summedPackets() map[string][]byte {
	table := map[string][]byte{}
	for _, d := range []draft{tcpOf(1000), tcpOf(0), udpOf(999), udpOf(0), icmpOf(57)} {
		for _, v := range []draft{d, d.over4(), d.behind(options8), d.behind(options8.With(wire.HopByHop, wire.Options(3)))} {
			table[fmt.Sprintf("protocol %d, IPv4 %v, payload at %d, %d octets", v.protocol, v.v4, v.headers(), len(v.payload))] = v.packet()
		}
	}
	return table
}

// A wrong checksum is noticed wherever it is, but where somebody vouches for it.
func TestBadChecksum(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	record := newRecorder()
	device.Endpoint().Attach(record)
	plain, plainFar := overheaded(t, tun.Features{}, 1)
	plainRecord := newRecorder()
	plain.Endpoint().Attach(plainRecord)
	for name, good := range summedPackets() {
		t.Run(name, func(t *testing.T) {
			for _, at := range []int{8, len(good) - 1, len(good) - 7} {
				octets := append([]byte(nil), good...)
				octets[at] ^= 0x10
				before := device.Stats()
				write(t, far[0], ahead{}.before(octets))
				awaitQuiet(t, record, far[0])
				before.BadChecksum++
				if got := device.Stats(); got != before {
					t.Errorf("octet %d changed: got %+v, want %+v", at, got, before)
				}
				write(t, far[0], ahead{flags: dataValid}.before(octets))
				if p := record.next(t, anyPacket); !p.vouched || string(p.octets) != string(octets) {
					t.Errorf("octet %d changed: a packet that is vouched for was delivered as %x, vouched %v", at, p.octets, p.vouched)
				}
				write(t, plainFar[0], ahead{}.before(octets))
				if p := plainRecord.next(t, anyPacket); p.vouched || string(p.octets) != string(octets) {
					t.Errorf("octet %d changed: without the feature %x was delivered, vouched %v", at, p.octets, p.vouched)
				}
			}
		})
	}
	if got := plain.Stats(); got != (tun.Stats{}) {
		t.Errorf("without the feature: %+v, want that nothing is dropped", got)
	}
}

// Nothing can be said of a fragment's checksum, nor of what is not known.
func TestUnknownChecksumsPass(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	record := newRecorder()
	device.Endpoint().Attach(record)
	h := wire.Header{Source: ends6[0], Destination: ends6[1]}
	packets := h.Split(7, wire.UDPProtocol, wire.Payload(3000), 1000)
	packets = append(packets, h.Packet(132, wire.Payload(100)), h.Packet(wire.NoNextHeader, nil), h.Packet(wire.ESP, wire.Payload(99)))
	unsummed := udpOf(100).over4().packet()
	unsummed[26], unsummed[27] = 0, 0
	packets = append(packets, unsummed)
	for i := range 3 { // over IPv4
		d := draft{v4: true, protocol: wire.UDPProtocol, payload: wire.Payload(800)}
		fragment := d.packet()
		fragment[6], fragment[7] = 0x20, byte(i*101)
		fragment[10], fragment[11] = 0, 0
		sum := ^slowSum(fragment[:20])
		fragment[10], fragment[11] = byte(sum>>8), byte(sum)
		fragment[300] ^= 1
		packets = append(packets, fragment)
	}
	for i, octets := range packets {
		write(t, far[0], ahead{}.before(octets))
		if p := record.next(t, anyPacket); p.vouched || string(p.octets) != string(octets) {
			t.Errorf("packet %d: %x was delivered, vouched %v, want %x", i, p.octets, p.vouched, octets)
		}
	}
	if got := device.Stats(); got != (tun.Stats{}) {
		t.Errorf("got %+v, want that nothing is dropped", got)
	}
}
