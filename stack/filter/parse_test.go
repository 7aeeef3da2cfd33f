package filter_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack/filter"
)

var (
	there = wire.Header{Source: netip.AddrFrom16(alice), Destination: netip.AddrFrom16(bob)}
	// inner is quoted by errors that go from carol to alice.
	inner    = there
	quoteway = wire.Header{Source: netip.AddrFrom16(carol), Destination: netip.AddrFrom16(alice)}
)

// with returns h with extension headers of these types.
func with(h wire.Header, kinds ...uint8) wire.Header {
	for i, kind := range kinds {
		body := wire.Options(1 + i%3)
		switch kind {
		case wire.AH:
			body = wire.Authentication(4)
		case wire.FragmentHeader:
			body = make([]byte, 8)
		}
		h.Extensions = h.Extensions.With(kind, body)
	}
	return h
}

// quoting returns an ICMPv6 error of that type about packet.
func quoting(kind uint8, packet []byte) []byte {
	return quoteway.Packet(wire.ICMPv6, quoteway.ICMP(kind, 3, append(make([]byte, 4), packet...)))
}

// parsed returns what every packet from alice to bob has.
func parsed(length int, protocol uint8) filter.Packet {
	return filter.Packet{Source: alice, Destination: bob, Length: length, Protocol: protocol}
}

// parsedError is the same for errors.
func parsedError(length int, kind uint8, q filter.Quote) filter.Packet {
	return filter.Packet{
		Source: carol, Destination: alice, Length: length, Protocol: wire.ICMPv6,
		ICMPType: kind, ICMPCode: 3, Quote: q,
	}
}

func ported(p filter.Packet, source, destination uint16, flags uint8) filter.Packet {
	p.SourcePort, p.DestinationPort, p.TCPFlags = source, destination, flags
	return p
}

// udpQuote is what the errors of tests quote.
var udpQuote = filter.Quote{
	Kind: filter.WholeQuote, Source: alice, Destination: bob,
	Protocol: wire.UDPProtocol, SourcePort: 1000, DestinationPort: 53,
}

// parses are packets that parse, each with what it says.
func parses() map[string]struct {
	packet []byte
	want   filter.Packet
} {
	datagram := there.UDP(1000, 53, wire.Payload(100))
	chain := with(there, wire.HopByHop, wire.DestinationOptions, wire.Routing, wire.AH, wire.DestinationOptions)
	fragments := there.Split(9, wire.UDPProtocol, datagram, 48)
	segment := there.TCPSegment(3, wire.Payload(10))
	echo := there.Echo(7, 1, wire.Payload(10))
	echoed := parsed(40+len(echo), wire.ICMPv6)
	echoed.ICMPType, echoed.Identifier = 128, 7
	echoQuote := filter.Quote{Kind: filter.WholeQuote, Source: alice, Destination: bob, Protocol: wire.ICMPv6, ICMPType: 128, Identifier: 7}
	tcpQuote := udpQuote
	tcpQuote.Protocol, tcpQuote.SourcePort, tcpQuote.DestinationPort = wire.TCP, 80, 81
	fragmentQuote := filter.Quote{Kind: filter.FragmentQuote, Source: alice, Destination: bob}
	message := parsed(48, wire.ICMPv6)
	message.ICMPType, message.ICMPCode = 144, 1

	return map[string]struct {
		packet []byte
		want   filter.Packet
	}{
		"UDP":               {there.Packet(wire.UDPProtocol, datagram), ported(parsed(148, wire.UDPProtocol), 1000, 53, 0)},
		"padding":           {append(there.Packet(wire.UDPProtocol, datagram), 1, 2, 3), ported(parsed(148, wire.UDPProtocol), 1000, 53, 0)},
		"all extensions":    {chain.Packet(wire.UDPProtocol, datagram), ported(parsed(148+chain.Extensions.Len(), wire.UDPProtocol), 1000, 53, 0)},
		"mobility before":   {with(there, wire.Mobility, wire.HIP, wire.Shim6).Packet(wire.UDPProtocol, datagram), ported(parsed(148+48, wire.UDPProtocol), 1000, 53, 0)},
		"mobility itself":   {with(there, wire.DestinationOptions, wire.Mobility).Packet(wire.NoNextHeader, nil), parsed(40+8+16, wire.Mobility)},
		"atomic fragment":   {with(there, wire.FragmentHeader).Packet(wire.UDPProtocol, datagram), ported(parsed(156, wire.UDPProtocol), 1000, 53, 0)},
		"TCP":               {there.Packet(wire.TCP, segment), ported(parsed(40+len(segment), wire.TCP), 80, 81, ack)},
		"echo":              {there.Packet(wire.ICMPv6, echo), echoed},
		"ICMPv6":            {there.Packet(wire.ICMPv6, there.ICMP(144, 1, []byte{9, 9, 9, 9})), message},
		"ESP":               {there.Packet(wire.ESP, wire.Payload(20)), parsed(60, wire.ESP)},
		"no next header":    {there.Packet(wire.NoNextHeader, nil), parsed(40, wire.NoNextHeader)},
		"error":             {quoting(2, inner.Packet(wire.UDPProtocol, datagram)), parsedError(48+148, 2, udpQuote)},
		"unknown error":     {quoting(100, inner.Packet(wire.UDPProtocol, datagram)), parsedError(48+148, 100, udpQuote)},
		"error, cut off":    {quoting(1, inner.Packet(wire.UDPProtocol, datagram)[:44]), parsedError(48+44, 1, udpQuote)},
		"error, extensions": {quoting(3, chain.Packet(wire.UDPProtocol, datagram)), parsedError(48+148+chain.Extensions.Len(), 3, udpQuote)},
		"error, TCP":        {quoting(3, inner.Packet(wire.TCP, segment)[:48]), parsedError(96, 3, tcpQuote)},
		"error, echo":       {quoting(3, inner.Packet(wire.ICMPv6, echo)), parsedError(88+len(echo), 3, echoQuote)},
		"error, first fragment": {quoting(2, fragments[0]),
			parsedError(48+len(fragments[0]), 2, udpQuote)},
		"error, later fragment": {quoting(2, fragments[1]),
			parsedError(48+len(fragments[1]), 2, fragmentQuote)},
		"error, far fragment": {quoting(2, inner.Fragment(wire.Fragment{Next: wire.UDPProtocol, Offset: 512}, datagram)),
			parsedError(48+48+len(datagram), 2, fragmentQuote)},
		"error, ports cut":     {quoting(2, inner.Packet(wire.UDPProtocol, datagram)[:43]), parsedError(91, 2, filter.Quote{Source: alice, Destination: bob, Protocol: wire.UDPProtocol})},
		"error, chain cut":     {quoting(2, chain.Packet(wire.UDPProtocol, datagram)[:50]), parsedError(98, 2, filter.Quote{Source: alice, Destination: bob})},
		"error, echo cut":      {quoting(3, inner.Packet(wire.ICMPv6, echo)[:45]), parsedError(48+45, 3, filter.Quote{Source: alice, Destination: bob, Protocol: wire.ICMPv6})},
		"error, no packet":     {quoting(2, nil), parsedError(48, 2, filter.Quote{})},
		"error, IPv4 packet":   {quoting(2, append([]byte{0x45}, make([]byte, 60)...)), parsedError(48+61, 2, filter.Quote{})},
		"error, mobility only": {quoting(2, with(inner, wire.Mobility).Packet(wire.NoNextHeader, nil)), parsedError(96, 2, filter.Quote{Kind: filter.WholeQuote, Source: alice, Destination: bob, Protocol: wire.Mobility})},
	}
}

// Every packet, in one piece, in views of every size, and behind octets to be
// skipped.
func TestParse(t *testing.T) {
	for name, c := range parses() {
		check := func(how string, got filter.Packet, ok bool) {
			t.Helper()
			if !ok || got != c.want {
				t.Errorf("%s, %s: %v\n got %+v\nwant %+v", name, how, ok, got, c.want)
			}
		}
		got, ok := filter.Parse(c.packet)
		check("one piece", got, ok)
		for size := 1; size <= len(c.packet); size++ {
			got, ok = parseSplit(c.packet, func() int { return size })
			check("views", got, ok)
		}
		padded := append(make([]byte, 14), c.packet...)
		b := split(padded, func() int { return 10 })
		views := b.AsViewList()
		got, ok = filter.ParseViews(views.Front(), 14, len(c.packet))
		check("skip", got, ok)
		b.Release()
	}
}

// split returns a buffer of packet in views of these sizes.
func split(packet []byte, size func() int) (b buffer.Buffer) {
	for len(packet) > 0 {
		n := min(max(size(), 1), len(packet))
		b.Append(buffer.NewViewWithData(packet[:n]))
		packet = packet[n:]
	}
	return b
}

func parseSplit(packet []byte, size func() int) (filter.Packet, bool) {
	b := split(packet, size)
	defer b.Release()
	return filter.ParseBuffer(&b)
}

// Every cut of every packet is refused, and so is what is no whole packet.
func TestParseRefuses(t *testing.T) {
	for name, c := range parses() {
		for n := range c.want.Length {
			if _, ok := filter.Parse(c.packet[:n]); ok {
				t.Errorf("%s, cut to %d octets", name, n)
			}
		}
	}
	datagram := there.UDP(1000, 53, wire.Payload(100))
	segment := there.TCPSegment(0, nil)
	shorter := there.Packet(wire.UDPProtocol, datagram)
	binary.BigEndian.PutUint16(shorter[4:], 7)
	jumbo := with(there, wire.HopByHop).Packet(wire.UDPProtocol, datagram)
	binary.BigEndian.PutUint16(jumbo[4:], 0)
	fragments := there.Split(9, wire.UDPProtocol, datagram, 48)
	for name, packet := range map[string][]byte{
		"nothing":             nil,
		"IPv4":                append([]byte{0x45}, make([]byte, 60)...),
		"UDP header cut":      there.Packet(wire.UDPProtocol, datagram[:7]),
		"TCP header cut":      there.Packet(wire.TCP, segment[:19]),
		"ICMPv6 header cut":   there.Packet(wire.ICMPv6, []byte{128, 0, 0, 0, 1, 2, 3}),
		"payload length cut":  shorter,
		"jumbogram":           jumbo,
		"chain cut":           with(there, wire.HopByHop).Packet(wire.DestinationOptions, []byte{17, 0, 1, 2, 0, 0, 0}),
		"bare chain too long": there.Packet(wire.DestinationOptions, []byte{99, 9, 1, 4, 0, 0, 0, 0}),
		"chain too long":      there.Packet(wire.DestinationOptions, []byte{17, 9, 1, 4, 0, 0, 0, 0}),
		"first fragment":      fragments[0],
		"later fragment":      fragments[1],
	} {
		if _, ok := filter.Parse(packet); ok {
			t.Errorf("%s parses", name)
		}
	}
}

// A length that the views do not hold is refused, wherever they end.
func TestParseViewsTooShort(t *testing.T) {
	if _, ok := filter.ParseViews(nil, 0, 100); ok {
		t.Error("no view parses")
	}
	packet := with(there, wire.HopByHop).Packet(wire.UDPProtocol, there.UDP(1, 2, nil))
	for n := range packet {
		b := split(packet[:n], func() int { return 10 })
		views := b.AsViewList()
		if _, ok := filter.ParseViews(views.Front(), 0, len(packet)); ok {
			t.Errorf("%d octets parse as %d", n, len(packet))
		}
		b.Release()
	}
}
