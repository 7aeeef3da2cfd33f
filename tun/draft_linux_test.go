package tun_test

import (
	"encoding/binary"
	"net/netip"

	"github.com/v6stack/v6stack/internal/wire"
)

// A draft is a packet to be built, field by field, from peers of the host to it.
type draft struct {
	v4         bool
	class      uint8
	id         uint16          // IPv4
	extensions wire.Extensions // IPv6
	protocol   uint8
	from, to   uint16
	payload    []byte

	// Of TCP.
	seq     uint32
	flags   uint8
	options []byte

	// left says that the checksum field holds the pseudo-header's sum only.
	left bool
}

var (
	ends6 = [2]netip.Addr{peer.Addr(), hostPrefix.Addr()}
	ends4 = [2]netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")}
)

const icmpv4 = 1

// timestamps are the usual options of a segment: NOP, NOP, Timestamps.
var timestamps = []byte{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}

// options8 is a Destination Options header of eight octets.
var options8 = wire.Extensions{}.With(wire.DestinationOptions, wire.Options(1))

// tcpOf returns the draft of a segment with n octets of payload.
func tcpOf(n int) draft {
	return draft{
		protocol: wire.TCP, from: 40000, to: 443, class: 0x02, id: 0xfffe,
		seq: 0xfffffe00, flags: wire.ACK, options: timestamps, payload: wire.Payload(n),
	}
}

// udpOf returns the draft of a datagram with n octets of payload.
func udpOf(n int) draft {
	return draft{protocol: wire.UDPProtocol, from: 40000, to: 53, payload: wire.Payload(n)}
}

// icmpOf returns the draft of an ICMPv6 echo request with n octets of data.
func icmpOf(n int) draft { return draft{protocol: wire.ICMPv6, payload: wire.Payload(n)} }

// over4 returns the draft over IPv4.
func (d draft) over4() draft {
	d.v4 = true
	if d.protocol == wire.ICMPv6 {
		d.protocol = icmpv4
	}
	return d
}

// behind returns the draft with extension headers.
func (d draft) behind(e wire.Extensions) draft {
	d.extensions = e
	return d
}

// unfinished returns the draft with its checksum left to be finished.
func (d draft) unfinished() draft {
	d.left = true
	return d
}

// with returns the draft with flags and ACK set.
func (d draft) with(flags uint8) draft {
	d.flags = flags | wire.ACK
	return d
}

// start returns where the transport header begins.
func (d draft) start() int {
	if d.v4 {
		return 20
	}
	return 40 + d.extensions.Len()
}

// offset returns where in the transport header the checksum is.
func (d draft) offset() int {
	switch d.protocol {
	case wire.TCP:
		return 16
	case wire.UDPProtocol:
		return 6
	}
	return 2
}

// headers returns where the payload begins.
func (d draft) headers() int { return d.start() + len(d.transport()) }

func (d draft) transport() []byte {
	switch d.protocol {
	case wire.TCP:
		h := binary.BigEndian.AppendUint32(nil, uint32(d.from)<<16|uint32(d.to))
		h = binary.BigEndian.AppendUint32(h, d.seq)
		h = append(h, 0, 0, 0, 77, byte(5+len(d.options)/4)<<4, d.flags, 2, 0, 0, 0, 0, 0)
		return append(h, d.options...)
	case wire.UDPProtocol:
		h := binary.BigEndian.AppendUint32(nil, uint32(d.from)<<16|uint32(d.to))
		return append(binary.BigEndian.AppendUint16(h, uint16(8+len(d.payload))), 0, 0)
	case wire.ICMPv6:
		return []byte{128, 0, 0, 0, 1, 2, 3, 4}
	case icmpv4:
		return []byte{8, 0, 0, 0, 1, 2, 3, 4}
	}
	return make([]byte, 8)
}

// packet builds the packet.
func (d draft) packet() []byte {
	message := append(d.transport(), d.payload...)
	pseudo := d.pseudo(len(message))
	check := slowSum(pseudo)
	if !d.left {
		if check = ^slowSum(pseudo, message); check == 0 && d.protocol == wire.UDPProtocol {
			check = 0xffff
		}
	}
	binary.BigEndian.PutUint16(message[d.offset():], check)
	if d.v4 {
		return append(d.ipv4Header(len(message)), message...)
	}
	h := wire.Header{Source: ends6[0], Destination: ends6[1], TrafficClass: d.class, Extensions: d.extensions}
	return h.Packet(d.protocol, message)
}

func (d draft) ipv4Header(length int) []byte {
	h := []byte{0x45, d.class, 0, 0, 0, 0, 0x40, 0, 64, d.protocol, 0, 0}
	binary.BigEndian.PutUint16(h[2:], uint16(20+length))
	binary.BigEndian.PutUint16(h[4:], d.id)
	h = append(append(h, ends4[0].AsSlice()...), ends4[1].AsSlice()...)
	binary.BigEndian.PutUint16(h[10:], ^slowSum(h))
	return h
}

// pseudo returns the pseudo-header.
func (d draft) pseudo(length int) []byte {
	if d.protocol == icmpv4 {
		return nil
	}
	ends := ends6
	if d.v4 {
		ends = ends4
	}
	p := append(ends[0].AsSlice(), ends[1].AsSlice()...)
	p = binary.BigEndian.AppendUint32(p, uint32(length))
	return append(p, 0, 0, 0, d.protocol)
}

// slowSum adds the octets of all parts, each an even number but for the last.
func slowSum(parts ...[]byte) uint16 {
	sum := 0
	for _, part := range parts {
		for i, octet := range part {
			sum += int(octet) << (8 * (1 - i%2))
			sum = sum&0xffff + sum>>16
		}
	}
	return uint16(sum)
}

// pieces builds the packets that come of the draft's when its payload is cut
// into pieces of size octets.
func (d draft) pieces(size int) [][]byte {
	var packets [][]byte
	for at := 0; at < len(d.payload) || at == 0; at += size {
		p := d
		p.left = false
		p.payload = d.payload[at:min(at+size, len(d.payload))]
		p.seq += uint32(at)
		p.id += uint16(at / size)
		if at > 0 {
			p.flags &^= wire.CWR
		}
		if at+size < len(d.payload) {
			p.flags &^= wire.FIN | wire.PSH
		}
		packets = append(packets, p.packet())
	}
	return packets
}
