package offload_test

import (
	"testing"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/internal/wire"
)

// valid returns what Valid says of packet, in views that end at ends.
func valid(packet []byte, ends ...int) bool {
	b := inViews(packet, ends...)
	defer b.Release()
	return offload.Valid(&b)
}

// ValidPacket says what Valid does, also behind spare room and of headers that
// were taken off.
func TestValidPacket(t *testing.T) {
	for name, d := range drafts {
		for _, pending := range []bool{false, true} {
			d.pending, d.unsummed = pending, false
			pkt := d.sent()
			if got := offload.ValidPacket(pkt); got == pending {
				t.Errorf("%s, pending %v: sent packet valid %v", name, pending, got)
			}
			pkt.DecRef()
			pkt = received(d.packet(), d.start(), d.headers())
			if _, ok := pkt.NetworkHeader().Consume(d.start()); !ok {
				t.Fatal("no network header")
			}
			if got := offload.ValidPacket(pkt); got == pending {
				t.Errorf("%s, pending %v: received packet valid %v", name, pending, got)
			}
			pkt.DecRef()
		}
	}
}

var fixed = wire.Header{Source: ends6[0], Destination: ends6[1]}

// behind returns a header with one extension header.
func behind(kind uint8, body []byte) wire.Header {
	h := fixed
	h.Extensions = h.Extensions.With(kind, body)
	return h
}

// ipv4 returns an IPv4 packet of that protocol.
func ipv4(protocol uint8, message []byte) []byte {
	packet := append(tcp(0).ipv4Header(len(message)), message...)
	packet[9] = protocol
	return sumIPv4(packet)
}

// sumIPv4 makes the checksum of an IPv4 header of 20 octets right.
func sumIPv4(packet []byte) []byte {
	packet[10], packet[11] = 0, 0
	sum := ^slowSum(packet[:20])
	packet[10], packet[11] = byte(sum>>8), byte(sum)
	return packet
}

// protected are packets of which every octet from some position on is covered by
// a checksum.
func protected() map[string]struct {
	packet []byte
	from   int // an octet of no effect on the headers' meaning
} {
	type p = struct {
		packet []byte
		from   int
	}
	echo := append([]byte{8, 0, 0, 0}, wire.Payload(51)...)
	sum := ^slowSum(echo)
	echo[2], echo[3] = byte(sum>>8), byte(sum)
	atomic := behind(wire.FragmentHeader, make([]byte, 8))
	authenticated := behind(wire.AH, wire.Authentication(6))
	routed := behind(wire.Routing, make([]byte, 8)) // No segments left.
	packets := map[string]p{
		"icmpv6":        {fixed.Packet(wire.ICMPv6, fixed.Echo(1, 2, wire.Payload(51))), 40},
		"shortest icmp": {fixed.Packet(wire.ICMPv6, fixed.ICMP(1, 2, nil)), 40},
		"icmpv4":        {ipv4(1, echo), 20},
		"atomic":        {atomic.Packet(wire.UDPProtocol, fixed.UDP(1, 2, wire.Payload(51))), 48 + 6},
		"authenticated": {authenticated.Packet(wire.TCP, fixed.TCPSegment(1, wire.Payload(51))), 64},
		"routed":        {routed.Packet(wire.TCP, fixed.TCPSegment(1, wire.Payload(51))), 48},
	}
	for name, d := range drafts {
		d.pending, d.unsummed, d.payload = false, false, d.payload[:51]
		from := d.start()
		if d.udp {
			from += 6 // Behind the length.
		}
		packets[name] = p{d.packet(), from}
	}
	return packets
}

// Every bit flip under a checksum is seen.
func TestValidSeesDamage(t *testing.T) {
	for name, c := range protected() {
		if !valid(c.packet) || !valid(c.packet, everyOctet(c.packet)...) {
			t.Errorf("%s: invalid", name)
			continue
		}
		for i := c.from; i < len(c.packet); i++ {
			if !valid(c.packet, i) || !valid(c.packet, i/2, i) {
				t.Errorf("%s: invalid in views that end at %d", name, i)
			}
			for bit := range 8 {
				c.packet[i] ^= 1 << bit
				if valid(c.packet) {
					t.Errorf("%s: valid with bit %d of octet %d changed", name, bit, i)
				}
				c.packet[i] ^= 1 << bit
			}
		}
		for _, address := range []int{12, 19} { // In both kinds of header part of an address.
			c.packet[address] ^= 0x10
			if valid(c.packet) {
				t.Errorf("%s: valid with another address", name)
			}
			c.packet[address] ^= 0x10
		}
	}
}

// Every bit flip in an IPv4 header is seen, whatever it carries.
func TestValidSeesIPv4Header(t *testing.T) {
	for name, packet := range map[string][]byte{"unknown": ipv4(200, wire.Payload(8)), "options": drafts["ipv4 options"].packet()} {
		if !valid(packet) {
			t.Errorf("%s: invalid", name)
		}
		for i := range int(packet[0]&15) * 4 {
			for bit := range 8 {
				packet[i] ^= 1 << bit
				if valid(packet) {
					t.Errorf("%s: valid with bit %d of octet %d changed", name, bit, i)
				}
				packet[i] ^= 1 << bit
			}
		}
	}
}

func TestValidOfTheTruncated(t *testing.T) {
	for name, c := range protected() {
		for n := range c.packet {
			if valid(c.packet[:n]) {
				t.Errorf("%s: valid with %d octets of %d", name, n, len(c.packet))
			}
		}
		if !valid(append(c.packet, 1, 2, 3)) {
			t.Errorf("%s: invalid with octets behind", name)
		}
	}
}

// change returns packet with one octet set.
func change(packet []byte, at int, to byte) []byte {
	packet[at] = to
	return packet
}

// shortUDP returns a packet with a UDP length of 7, and a checksum that is right
// for as many octets.
func shortUDP() []byte {
	message := []byte{0, 0, 0, 9, 0, 7, 5, 0}
	d := tcp(0).with(func(d *draft) { d.udp = true })
	port := ^slowSum(d.pseudo(7), message[:7])
	message[0], message[1] = byte(port>>8), byte(port)
	return fixed.Packet(wire.UDPProtocol, message)
}

func TestValid(t *testing.T) {
	wrong := make([]byte, 32) // Right under no checksum.
	udp := tcp(9).with(func(d *draft) { d.udp = true })
	udp4 := udp.with(func(d *draft) { d.v4 = true })
	detour := wire.Options(1)
	detour[3] = 1
	chain := wire.Extensions{}.With(wire.HopByHop, wire.Options(1)).With(wire.Routing, detour).With(wire.DestinationOptions, wire.Options(1))
	twice := wire.Extensions{}.With(wire.Routing, detour).With(wire.Routing, make([]byte, 8))
	reserved := wire.Extensions{}.With(wire.FragmentHeader, []byte{0, 0xff, 0, 6, 0, 0, 0, 0})
	options := append(udp.packet(), 1, 2, 3, 4) // Behind the UDP datagram, in the packet.
	options[5] += 4
	for name, c := range map[string]struct {
		packet []byte
		want   bool
	}{
		"first fragment":     {fixed.Fragment(wire.Fragment{Next: wire.TCP, More: true}, wrong), true},
		"later fragment":     {fixed.Fragment(wire.Fragment{Next: wire.HopByHop, Offset: 8}, wrong), true},
		"short fragment":     {fixed.Fragment(wire.Fragment{Next: wire.TCP, More: true}, nil), true},
		"jumbo fragment":     {change(change(fixed.Fragment(wire.Fragment{Next: wire.TCP, More: true}, wrong), 4, 0), 5, 0), true},
		"jumbo, behind":      {change(behind(wire.HopByHop, wire.Options(1)).Fragment(wire.Fragment{Next: wire.TCP}, wrong), 5, 0), true},
		"jumbo, no fragment": {change(behind(wire.HopByHop, wire.Options(1)).Packet(wire.TCP, wrong), 5, 0), false},
		"jumbo, cut":         {change(fixed.Fragment(wire.Fragment{Next: wire.TCP, More: true}, wrong), 5, 0)[:42], false},
		"atomic, wrong":      {fixed.Fragment(wire.Fragment{Next: wire.TCP}, wrong), false},
		"no next header":     {fixed.Packet(wire.NoNextHeader, wrong), true},
		"esp":                {fixed.Packet(wire.ESP, wrong), true},
		"unknown":            {fixed.Packet(200, wrong), true},
		"nothing":            {fixed.Packet(200, nil), true},
		"icmpv4 over ipv6":   {fixed.Packet(1, wrong), true},
		"icmpv6 over ipv4":   {ipv4(wire.ICMPv6, wrong), true},
		"tcp":                {fixed.Packet(wire.TCP, wrong), false},
		"udp":                {fixed.Packet(wire.UDPProtocol, wrong), false},
		"icmpv6":             {fixed.Packet(wire.ICMPv6, wrong), false},
		"icmpv4":             {ipv4(1, wrong), false},
		"tcp over ipv4":      {ipv4(wire.TCP, wrong), false},
		"ipv4 first":         {sumIPv4(change(ipv4(wire.TCP, wrong), 6, 0x20)), true},
		"ipv4 later":         {sumIPv4(change(ipv4(wire.TCP, wrong), 7, 1)), true},
		"ipv4 whole":         {sumIPv4(change(ipv4(wire.TCP, wrong), 6, 0x40)), false},
		"detour":             {wire.Header{Source: ends6[0], Destination: ends6[1], Extensions: chain}.Packet(wire.TCP, wrong), true},
		"detour, then none":  {wire.Header{Source: ends6[0], Destination: ends6[1], Extensions: twice}.Packet(wire.TCP, wrong), true},
		"reserved bits":      {wire.Header{Source: ends6[0], Destination: ends6[1], Extensions: reserved}.Packet(wire.TCP, wrong), false},
		"udp unsummed":       {udp.with(func(d *draft) { d.unsummed = true }).packet(), false},
		"udp unsummed, ipv4": {udp4.with(func(d *draft) { d.unsummed = true }).packet(), true},
		"udp length 0":       {change(udp.packet(), 45, 0), false},
		"udp length 7":       {change(udp.packet(), 45, 7), false},
		"udp of 7, summed":   {shortUDP(), false},
		"udp length 18":      {change(udp.packet(), 45, 18), false},
		"udp length, ipv4":   {change(udp4.packet(), 25, 18), false},
		"udp options":        {options, true},
		"udp of 7 octets":    {fixed.Packet(wire.UDPProtocol, make([]byte, 7)), false},
		"tcp of 19 octets":   {fixed.Packet(wire.TCP, make([]byte, 19)), false},
		"icmpv6 of 3 octets": {fixed.Packet(wire.ICMPv6, make([]byte, 3)), false},
		"options cut off":    {fixed.Packet(wire.HopByHop, []byte{6, 1, 1, 4, 0, 0, 0, 0}), false},
		"options overlong":   {append(fixed.Packet(wire.HopByHop, []byte{200, 1, 1, 4, 0, 0, 0, 0}), wrong...), false},
		"options of 3":       {fixed.Packet(wire.HopByHop, []byte{6, 0, 1}), false},
		"version 5":          {change(fixed.Packet(200, wrong), 0, 0x50), false},
		"empty":              {nil, false},
		"ipv4 header of 16":  {change(ipv4(200, wrong), 0, 0x44), false},
		"ipv4 length of 19":  {sumIPv4(change(ipv4(200, wrong), 3, 19)), false},
	} {
		if got := valid(c.packet); got != c.want {
			t.Errorf("%s: valid %v, want %v", name, got, c.want)
		}
	}
}
