package linkep_test

import (
	"bytes"
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/linkep"
)

const experiment = 253

// A tap is an endpoint over a channel whose packets a recorder gets.
type tap struct {
	*linkep.Endpoint
	lower *channelLink
	up    *recorder
}

func newTap(t testing.TB, policy defrag.Policy, capabilities gstack.LinkEndpointCapabilities) *tap {
	t.Helper()
	lower := newChannelLink()
	lower.LinkEPCapabilities = capabilities
	e := newEndpoint(t, lower.endpoint(), linkep.Options{
		EngineConfig: defrag.Config{Clock: newClock(), Zone: defrag.ZoneConfig{Policy: policy}},
	})
	up := new(recorder)
	e.Attach(up)
	return &tap{e, lower, up}
}

// sendAll sends packets and returns what went up meanwhile.
func (p *tap) sendAll(t testing.TB, packets ...[]byte) [][]byte {
	t.Helper()
	before := len(p.up.packets)
	for _, packet := range packets {
		p.lower.send(t, packet)
	}
	var up [][]byte
	for _, r := range p.up.packets[before:] {
		up = append(up, r.octets)
	}
	return up
}

// short returns an extension header of 8 octets that is followed by next.
func short(next uint8) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }

// behind returns an extension chain of the given types, 8 octets each. The
// second octet of the experimental header is no length.
func behind(kinds ...uint8) (chain wire.Extensions) {
	for _, kind := range kinds {
		body := short(0)
		if kind == experiment {
			body[1] = 3
		}
		chain = chain.With(kind, body)
	}
	return chain
}

// Whatever extension headers stand before it, the Fragment header is found.
func TestExtensionHeadersBeforeTheFragmentHeader(t *testing.T) {
	udp := inbound.UDP(peerPort, localPort, wire.Payload(100))
	for _, kind := range []uint8{
		wire.HopByHop, wire.Routing, wire.DestinationOptions, wire.AH, wire.Mobility, wire.HIP, wire.Shim6,
	} {
		for _, length := range []int{0, 1, 2, 7, 255} {
			body := make([]byte, 8*(length+1))
			if kind == wire.AH {
				body = make([]byte, 4*(length+2))
			}
			body[1] = byte(length)
			h := inbound
			h.Extensions = h.Extensions.With(wire.DestinationOptions, wire.Options(2)).With(kind, body)
			p := newTap(t, defrag.RFC8200, 0)
			up := p.sendAll(t, h.Split(1, wire.UDPProtocol, udp, 64)...)
			if len(up) != 1 || !bytes.Equal(up[0], h.Packet(wire.UDPProtocol, udp)) {
				t.Errorf("header %d of length %d: %x went up", kind, length, up)
			}
		}
	}
}

// A packet without a Fragment header goes up as it is: the same packet.
func TestPassThrough(t *testing.T) {
	with := func(kinds ...uint8) wire.Header {
		h := inbound
		h.Extensions = behind(kinds...)
		return h
	}
	udp := inbound.UDP(peerPort, localPort, wire.Payload(64))
	jumbo := inbound.Packet(wire.UDPProtocol, udp)
	jumbo[4], jumbo[5] = 0, 0
	for name, packet := range map[string][]byte{
		"UDP":                         inbound.Packet(wire.UDPProtocol, udp),
		"no next header":              inbound.Packet(wire.NoNextHeader, nil),
		"ESP":                         inbound.Packet(wire.ESP, wire.Payload(64)),
		"unknown":                     inbound.Packet(200, wire.Payload(64)),
		"hop-by-hop":                  with(wire.HopByHop).Packet(wire.UDPProtocol, udp),
		"all that are stepped over":   with(0, 43, 60, 135, 139, 140).Packet(wire.UDPProtocol, udp),
		"experiment":                  with(experiment).Packet(wire.UDPProtocol, udp),
		"Fragment header behind ESP":  with(wire.ESP).Fragment(wire.Fragment{Next: 17, More: true}, udp),
		"cut off in an extension":     inbound.Packet(wire.HopByHop, []byte{44, 200, 1, 4, 0, 0, 0, 0}),
		"cut off before an extension": inbound.Packet(wire.HopByHop, nil),
		"one octet of an extension":   inbound.Packet(wire.HopByHop, []byte{44}),
		"payload length 0":            jumbo,
		"cut off in the IPv6 header":  jumbo[:20],
		"cut off early":               jumbo[:3],
		"empty":                       nil,
		"IPv4 under IPv6's number":    append([]byte{0x45, 0, 0, 20, 0, 0, 44}, make([]byte, 13)...),
	} {
		for _, cuts := range [][]int{nil, {1, 5, 1, 33, 1, 1}} {
			t.Run(fmt.Sprintf("%s %v", name, cuts), func(t *testing.T) {
				p := newTap(t, defrag.RFC8200, 0)
				pkt := newPacket(packet, cuts...)
				defer pkt.DecRef()
				p.lower.InjectInbound(header.IPv6ProtocolNumber, pkt)
				if p.up.pkt != pkt || !bytes.Equal(p.up.packets[0].octets, packet) {
					t.Error("the packet did not go up as it was")
				}
			})
		}
	}
	t.Run("another protocol", func(t *testing.T) {
		p := newTap(t, defrag.RFC8200, 0)
		pkt := newPacket(fragmentsOf(1, nil, 8)[0])
		defer pkt.DecRef()
		p.lower.InjectInbound(header.ARPProtocolNumber, pkt)
		if p.up.pkt != pkt {
			t.Error("the packet did not go up as it was")
		}
	})
}

// A Fragment header that gVisor would find and the engine does not, never goes
// up.
func TestHiddenFragmentHeaders(t *testing.T) {
	fragment := func(kinds ...uint8) []byte {
		h := inbound
		h.Extensions = behind(kinds...)
		return h.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, wire.Payload(64))
	}
	for _, c := range []struct {
		kinds  []uint8
		hidden bool
	}{
		{[]uint8{experiment}, true},
		{[]uint8{wire.DestinationOptions, experiment}, true},
		{[]uint8{experiment, wire.HopByHop}, true},
		{[]uint8{experiment, experiment, wire.Routing}, true},
		{[]uint8{wire.Mobility, experiment}, false}, // gVisor stops at Mobility
		{[]uint8{experiment, wire.HIP}, false},
		{[]uint8{254}, false},
	} {
		p := newTap(t, defrag.RFC8200, 0)
		up := p.sendAll(t, fragment(c.kinds...))
		if hidden := len(up) == 0; hidden != c.hidden || p.Stats().Hidden != uint64(1-len(up)) {
			t.Errorf("behind %v: %d up, %d counted, want hidden %v", c.kinds, len(up), p.Stats().Hidden, c.hidden)
		}
	}
	t.Run("inside a datagram", func(t *testing.T) {
		for _, policy := range []defrag.Policy{defrag.RFC8200, defrag.RFC5722, defrag.Linux} {
			p := newTap(t, policy, 0)
			inner := append(short(wire.FragmentHeader), fragment()[40:]...)
			packets := append(inbound.Split(1, experiment, inner, 24), inbound.Split(2, experiment, inner, 800)...)
			if up := p.sendAll(t, packets...); len(up) != 0 || p.Stats().Hidden != 2 {
				t.Errorf("%v: %d up, %d counted, want 0 and 2", policy, len(up), p.Stats().Hidden)
			}
		}
	})
}

// Neighbor Discovery that was fragmented never goes up, whatever the policy
// and the way in.
func TestFragmentedNeighborDiscovery(t *testing.T) {
	for _, policy := range []defrag.Policy{defrag.RFC8200, defrag.RFC5722, defrag.Linux} {
		for _, kind := range []uint8{133, 134, 135, 136, 137, 148, 149, 128, 1, 138} {
			message := inbound.ICMP(kind, 0, wire.Payload(28))
			behindOptions := append(short(wire.ICMPv6), message...)
			for name, packets := range map[string][][]byte{
				"fragments":            inbound.Split(1, wire.ICMPv6, message, 16),
				"atomic":               inbound.Split(2, wire.ICMPv6, message, 800),
				"behind options":       inbound.Split(3, wire.DestinationOptions, behindOptions, 24),
				"behind an experiment": inbound.Split(4, experiment, behindOptions, 24),
				"behind Mobility":      inbound.Split(5, wire.Mobility, behindOptions, 24),
			} {
				p := newTap(t, policy, 0)
				up := p.sendAll(t, packets...)
				if want := kind != 128 && kind != 1 && kind != 138 && kind != 149; (len(up) == 0) != want {
					t.Errorf("%v: type %d in %s: %d packets went up", policy, kind, name, len(up))
				}
				if policy == defrag.Linux && p.Stats().NeighborDiscovery != uint64(1-len(up)) {
					t.Errorf("%v: type %d in %s: counted %d", policy, kind, name, p.Stats().NeighborDiscovery)
				}
			}
		}
	}
}

// What policy linux passes on goes up as it is; gVisor judges it.
func TestWhatPolicyLinuxPassesOn(t *testing.T) {
	stub := inbound.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, nil)
	odd := inbound.Fragment(wire.Fragment{ID: 2, Next: wire.UDPProtocol, Offset: 8, More: true}, wire.Payload(13))
	p := newTap(t, defrag.Linux, 0)
	for _, packet := range [][]byte{stub, odd} {
		up := p.sendAll(t, packet)
		if len(up) != 1 || !bytes.Equal(up[0], packet) {
			t.Errorf("sent %x, up %x", packet, up)
		}
	}
	// A Fragment header inside a fragmented datagram is not looked at.
	inner := inbound.Fragment(wire.Fragment{ID: 3, Next: wire.UDPProtocol, More: true}, wire.Payload(64))[40:]
	up := p.sendAll(t, inbound.Split(4, wire.FragmentHeader, inner, 32)...)
	if len(up) != 1 || !bytes.Equal(up[0], inbound.Packet(wire.FragmentHeader, inner)) {
		t.Errorf("nested: up %x", up)
	}
}

// withLength returns message with another length, and its ports such that the
// checksum over that length is right nevertheless.
func withLength(message []byte, length int) []byte {
	m := append([]byte(nil), message...)
	m[4], m[5] = byte(length>>8), byte(length)
	balance(m, 0, length)
	return m
}

// balance changes the two octets at offset at such that the checksum over
// length octets of message, as the message's own length says, is right.
func balance(message []byte, at, length int) {
	message[at], message[at+1] = 0, 0
	covered := message[:min(length, len(message))]
	sum := uint32(inbound.Checksum(wire.UDPProtocol, covered))
	// The pseudo-header counts the length claimed, not the octets there.
	sum += 0xffff - uint32(length-len(covered))
	sum = sum>>16 + sum&0xffff
	message[at], message[at+1] = byte(sum>>8), byte(sum)
}

// Below a NIC that takes the link's word for checksums, a datagram's is
// verified before it goes up.
func TestChecksum(t *testing.T) {
	tcp := append(wire.Payload(12), 0x50, 0, 0, 0, 0, 0, 0, 0)
	tcp = append(tcp, wire.Payload(501)...)
	sum := inbound.Checksum(wire.TCP, tcp)
	tcp[16], tcp[17] = byte(sum>>8), byte(sum)

	udp := inbound.UDP(peerPort, localPort, wire.Payload(501))
	trailed := append(append([]byte(nil), udp...), 1, 2, 3)
	noSum := inbound.UDP(peerPort, localPort, wire.Payload(500))
	noSum[6], noSum[7] = 0, 0
	balance(noSum, 8, len(noSum))
	flip := func(message []byte, at int) []byte {
		m := append([]byte(nil), message...)
		m[at] ^= 0x10
		return m
	}
	echo := inbound.Echo(1, 2, wire.Payload(501))
	for _, c := range []struct {
		name    string
		next    uint8
		message []byte
		good    bool
	}{
		{"UDP", wire.UDPProtocol, udp, true},
		{"UDP, header corrupted", wire.UDPProtocol, flip(udp, 1), false},
		{"UDP, end corrupted", wire.UDPProtocol, flip(udp, len(udp)-1), false},
		{"UDP without checksum", wire.UDPProtocol, noSum, false},
		{"UDP shorter than the payload", wire.UDPProtocol, trailed, true},
		{"UDP shorter than the payload, corrupted", wire.UDPProtocol, flip(trailed, 300), false},
		{"UDP longer than the payload", wire.UDPProtocol, withLength(udp, len(udp)+1), false},
		{"UDP shorter than its header", wire.UDPProtocol, withLength(udp, 7), false},
		{"UDP of length 0", wire.UDPProtocol, withLength(udp, 0), false},
		{"UDP behind options", wire.DestinationOptions, append(short(wire.UDPProtocol), udp...), true},
		{"UDP behind options, corrupted", wire.DestinationOptions, append(short(wire.UDPProtocol), flip(udp, 100)...), false},
		{"TCP", wire.TCP, tcp, true},
		{"TCP, corrupted", wire.TCP, flip(tcp, 400), false},
		{"ICMPv6", wire.ICMPv6, echo, true},
		{"ICMPv6, corrupted", wire.ICMPv6, flip(echo, 77), false},
		{"unknown", 200, udp, true},
		{"nothing", wire.NoNextHeader, wire.Payload(500), true},
	} {
		for _, size := range []int{800, 64} {
			t.Run(fmt.Sprintf("%s in pieces of %d", c.name, size), func(t *testing.T) {
				packets := inbound.Split(1, c.next, c.message, size)
				want := inbound.Packet(c.next, c.message)

				p := newTap(t, defrag.RFC8200, gstack.CapabilityRXChecksumOffload)
				up := p.sendAll(t, packets...)
				if c.good != (len(up) == 1) || p.Stats().BadChecksum != uint64(1-len(up)) {
					t.Errorf("%d up, %d counted, want good %v", len(up), p.Stats().BadChecksum, c.good)
				}
				p = newTap(t, defrag.RFC8200, 0)
				if up := p.sendAll(t, packets...); len(up) != 1 || !bytes.Equal(up[0], want) {
					t.Error("verified although the NIC does it")
				}
			})
		}
	}
}

// R31: a link that vouches for fragments is not believed: it has not seen what
// is summed, unless one fragment is all there is.
func TestChecksumVerifiedByTheLink(t *testing.T) {
	udp := inbound.UDP(peerPort, localPort, wire.Payload(2000))
	udp[1000] ^= 1
	for _, c := range []struct {
		size    int
		vouched bool
		up      int
	}{
		{800, true, 0},
		{800, false, 0},
		{2008, true, 1},
		{2008, false, 0},
	} {
		p := newTap(t, defrag.RFC8200, gstack.CapabilityRXChecksumOffload)
		for _, packet := range inbound.Split(1, wire.UDPProtocol, udp, c.size) {
			pkt := newPacket(packet)
			pkt.RXChecksumValidated = c.vouched
			p.lower.InjectInbound(header.IPv6ProtocolNumber, pkt)
			pkt.DecRef()
		}
		if len(p.up.packets) != c.up || p.Stats().BadChecksum != uint64(1-c.up) {
			t.Errorf("%+v: %d packets went up, %d counted", c, len(p.up.packets), p.Stats().BadChecksum)
		}
	}
}

// What the link says of fragments holds for their datagram, but for offloads.
func TestWhatTheLinkSays(t *testing.T) {
	type said struct {
		gso     gstack.GSO
		kind    tcpip.PacketType
		mark    uint32
		vouched bool
		network tcpip.NetworkProtocolNumber
	}
	var got said
	lower := newChannelLink()
	e := newEndpoint(t, lower.endpoint(), linkep.Options{
		OnDatagram: func(pkt *gstack.PacketBuffer, _ *defrag.Datagram) {
			got = said{pkt.GSOOptions, pkt.PktType, pkt.Mark, pkt.RXChecksumValidated, pkt.NetworkProtocolNumber}
		},
	})
	e.Attach(discard{})
	for _, packet := range fragmentsOf(1, wire.Payload(100), 64) {
		pkt := newPacket(packet)
		pkt.GSOOptions = gstack.GSO{Type: gstack.GSOTCPv6, MSS: 64, NeedsCsum: true}
		pkt.PktType = tcpip.PacketOtherHost
		pkt.Mark = 7
		pkt.RXChecksumValidated = true
		lower.InjectInbound(header.IPv6ProtocolNumber, pkt)
		pkt.DecRef()
	}
	if want := (said{kind: tcpip.PacketOtherHost, mark: 7, network: header.IPv6ProtocolNumber}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
