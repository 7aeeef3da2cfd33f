package linkep_test

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/linkep"
)

// Divert sees what Filter let pass, whole and with its description, and what
// it takes does not go up.
func TestDivert(t *testing.T) {
	whole := inbound.Packet(wire.UDPProtocol, inbound.UDP(peerPort, localPort, wire.Payload(100)))
	fragments := fragmentsOf(7, wire.Payload(3000), 1024)
	atomic := inbound.Fragment(wire.Fragment{ID: 8, Next: wire.UDPProtocol}, inbound.UDP(peerPort, localPort, nil))
	for _, takes := range []bool{false, true} {
		var filtered, diverted, boundaries int
		lower := newChannelLink()
		e := newEndpoint(t, lower.endpoint(), linkep.Options{
			Filter: func(pkt *gstack.PacketBuffer) bool {
				filtered++
				return pkt.Data().Size() > 40+8
			},
			Divert: func(pkt *gstack.PacketBuffer, d *defrag.Datagram) bool {
				diverted++
				if pkt.NetworkProtocolNumber != header.IPv6ProtocolNumber {
					t.Errorf("protocol %d", pkt.NetworkProtocolNumber)
				}
				if d != nil {
					boundaries += len(d.Boundaries)
				}
				return takes
			},
		})
		up := new(recorder)
		e.Attach(up)
		lower.send(t, whole)
		for _, fragment := range fragments {
			lower.send(t, fragment)
		}
		lower.send(t, atomic) // Filter drops it.
		if filtered != 3 || diverted != 2 || boundaries != len(fragments) {
			t.Errorf("%d filtered, %d diverted, %d fragments; want 3, 2, %d", filtered, diverted, boundaries, len(fragments))
		}
		if want := map[bool]int{false: 2, true: 0}[takes]; len(up.packets) != want {
			t.Errorf("takes is %v: %d packets went up, want %d", takes, len(up.packets), want)
		}
	}
}

// SendError writes a router's errors, and none that RFC 4443 section 2.4(e)
// forbids.
func TestSendError(t *testing.T) {
	router := netip.MustParseAddr("fd00:6::ff")
	from := func(source, destination string) []byte {
		h := wire.Header{Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr(destination)}
		return h.Packet(wire.UDPProtocol, h.UDP(1, 2, wire.Payload(1400)))
	}
	icmp := func(kind uint8) []byte {
		h := wire.Header{Source: peer, Destination: netip.MustParseAddr("2001:db8::1")}
		return h.Packet(wire.ICMPv6, h.ICMP(kind, 0, wire.Payload(60)))
	}
	for _, test := range []struct {
		name   string
		cause  []byte
		source netip.Addr // invalid: the destination
		sent   bool
	}{
		{"forwarded", from("fd00:6::1", "2001:db8::1"), router, true},
		{"without an address", from("fd00:6::1", "2001:db8::1"), netip.Addr{}, true},
		{"echo request", icmp(128), router, true},
		{"error", icmp(1), router, false},
		{"Redirect", icmp(137), router, false},
		{"unspecified source", from("::", "2001:db8::1"), router, false},
		{"multicast source", from("ff02::1", "2001:db8::1"), router, false},
		{"loopback source", from("::1", "2001:db8::1"), router, false},
		{"to itself", from("fd00:6::ff", "2001:db8::1"), router, false},
		{"multicast, without an address", from("fd00:6::1", "ff0e::1"), netip.Addr{}, false},
		{"cut off", from("fd00:6::1", "2001:db8::1")[:39], router, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			lower := newChannelLink()
			e := newEndpoint(t, lower.endpoint(), linkep.Options{NoICMPErrors: true})
			e.Attach(discard{})
			owed := linkep.Error{Type: header.ICMPv6PacketTooBig, Value: 1280}
			want := test.source
			if want.IsValid() {
				owed.Source = address(want)
			} else if len(test.cause) >= 40 {
				want = addr(header.IPv6(test.cause).DestinationAddress())
			}
			cause := buffer.MakeWithData(test.cause)
			defer cause.Release()
			e.SendError(&cause, owed)
			if stats := e.Stats(); (stats.ErrorsSent == 1) != test.sent || stats.ErrorsSent+stats.ErrorsSuppressed != 1 {
				t.Errorf("%+v", stats)
			}
			if test.sent {
				check(t, lower.receive(t), errorPacket(want, peer, defrag.ICMPError{Type: 2, Pointer: 1280}, test.cause))
			}
		})
	}
}

// SendError needs a link that needs no link address and is attached, and obeys
// the limiter.
func TestSendErrorWhere(t *testing.T) {
	packet := inbound.Packet(wire.UDPProtocol, inbound.UDP(peerPort, localPort, nil))
	send := func(e *linkep.Endpoint) linkep.Stats {
		cause := buffer.MakeWithData(packet)
		defer cause.Release()
		e.SendError(&cause, linkep.Error{Type: header.ICMPv6TimeExceeded})
		return e.Stats()
	}
	lower := newChannelLink()
	e := newEndpoint(t, lower.endpoint(), linkep.Options{EngineConfig: defrag.Config{Clock: newClock()}})
	if stats := send(e); stats.ErrorsSuppressed != 1 {
		t.Errorf("detached: %+v", stats)
	}
	e.Attach(discard{})
	for range 60 {
		send(e)
	}
	if stats := e.Stats(); stats.ErrorsSent != 50 || stats.ErrorsLimited != 10 {
		t.Errorf("%+v, want 50 sent, 10 limited", stats)
	}
	lower.Drain()
	e.Close()
	if stats := send(e); stats.ErrorsSuppressed != 2 {
		t.Errorf("closed: %+v", stats)
	}
	framed := newEndpoint(t, ethernet.New(channel.New(1, mtu, localMAC)), linkep.Options{})
	framed.Attach(discard{})
	if stats := send(framed); stats.ErrorsSuppressed != 1 {
		t.Errorf("Ethernet: %+v", stats)
	}
	full := newEndpoint(t, stuck{newChannelLink().Endpoint}, linkep.Options{})
	full.Attach(discard{})
	if stats := send(full); stats.ErrorsFailed != 1 {
		t.Errorf("a link that takes nothing: %+v", stats)
	}
}

// A stuck link takes nothing.
type stuck struct{ *channel.Endpoint }

func (stuck) WritePackets(gstack.PacketBufferList) (int, tcpip.Error) {
	return 0, &tcpip.ErrNoBufferSpace{}
}
