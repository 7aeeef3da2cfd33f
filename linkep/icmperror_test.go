package linkep_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/linkep"
)

var (
	timeExceeded = defrag.ICMPError{Type: 3, Code: 1}
	unaligned    = defrag.ICMPError{Type: 4, Code: 0, Pointer: 4}
)

// errorPacket returns the whole packet of an ICMPv6 error, built by other
// means than the package's.
func errorPacket(source, destination netip.Addr, e defrag.ICMPError, quoted []byte) []byte {
	h := wire.Header{Source: source, Destination: destination}
	rest := binary.BigEndian.AppendUint32(nil, e.Pointer)
	rest = append(rest, quoted[:min(len(quoted), 1280-48)]...)
	return h.Packet(wire.ICMPv6, h.ICMP(e.Type, e.Code, rest))
}

// waitHeld waits until the engine holds n fragments.
func waitHeld(t testing.TB, e *linkep.Endpoint, n uint64) {
	t.Helper()
	for end := time.Now().Add(patience); e.Engine().Stats().Total.Fragments != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the engine holds %d fragments, want %d", e.Engine().Stats().Total.Fragments, n)
		}
	}
}

// Over each link, the errors come out whole and to the octet: Time Exceeded
// after the timeout, Parameter Problem at once.
func TestErrorsOnTheWire(t *testing.T) {
	for _, kind := range links {
		t.Run(kind.name, func(t *testing.T) {
			clock := newClock()
			l := kind.make(t)
			e := newEndpoint(t, l.endpoint(), linkep.Options{EngineConfig: defrag.Config{Clock: clock}})
			s := newStack(t)
			addNIC(t, s, nicID, e, local)

			for id, size := range []int{8, 1000, 1448} {
				packets := fragmentsOf(uint32(id), wire.Payload(3000), size)
				l.send(t, packets[0])
				waitHeld(t, e, 1)
				clock.Advance(2 * defrag.DefaultTimeout)
				check(t, l.receive(t), errorPacket(local, peer, timeExceeded, packets[0]))
			}
			odd := inbound.Fragment(wire.Fragment{ID: 9, Next: wire.UDPProtocol, Offset: 64, More: true}, wire.Payload(20))
			l.send(t, odd)
			check(t, l.receive(t), errorPacket(local, peer, unaligned, odd))

			l.send(t, fragmentsOf(10, wire.Payload(2000), 1000)[1])
			waitHeld(t, e, 1)
			clock.Advance(2 * defrag.DefaultTimeout)
			waitHeld(t, e, 0)
			if got := e.Stats().ErrorsSent; got != 4 {
				t.Errorf("%d errors sent, want 4: none without the first fragment", got)
			}
		})
	}
}

func check(t testing.TB, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("sent\n%x, want\n%x", got, want)
	}
}

// A node is an endpoint over a channel, or over Ethernet, with a NIC; drops are
// told to it directly.
type node struct {
	*linkep.Endpoint
	lower link
	stack *gstack.Stack
	clock *faketime.ManualClock
}

func newNode(t testing.TB, lower link, options linkep.Options, addresses ...netip.Addr) *node {
	n := &node{lower: lower, stack: newStack(t), clock: newClock()}
	options.EngineConfig.Clock = n.clock
	n.Endpoint = newEndpoint(t, lower.endpoint(), options)
	addNIC(t, n.stack, nicID, n.Endpoint, addresses...)
	return n
}

// drop tells the node that packet was dropped and returns what it sent, nil if
// nothing.
func (n *node) drop(t testing.TB, e defrag.ICMPError, packet, frame []byte) []byte {
	t.Helper()
	b := buffer.MakeWithData(packet)
	defer b.Release()
	linkHeader, _ := defrag.MakeLinkHeader(frame)
	before := n.Stats()
	n.HandleDrop(&defrag.Drop{
		Verdict: defrag.Unaligned, Error: e, Packet: &b,
		Metadata: defrag.Metadata{LinkHeader: linkHeader},
	})
	if n.Stats() == before && e != (defrag.ICMPError{}) {
		t.Error("no counter moved")
	}
	if n.Stats().ErrorsSent == before.ErrorsSent {
		return nil
	}
	return n.lower.receive(t)
}

func TestWhichDropsAreAnswered(t *testing.T) {
	between := func(source, destination string) wire.Header {
		return wire.Header{Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr(destination)}
	}
	fragmentOf := func(next uint8, offset int, octets ...byte) []byte {
		f := wire.Fragment{ID: 1, Next: next, Offset: offset, More: true}
		return inbound.Fragment(f, append(octets, wire.Payload(11)...))
	}
	udpFrom := func(h wire.Header) []byte {
		return h.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, wire.Payload(12))
	}
	extended := inbound
	extended.Extensions = wire.Extensions{}.With(wire.DestinationOptions, wire.Options(2))
	behindOptions := func(kind byte) []byte {
		f := wire.Fragment{ID: 1, Next: wire.DestinationOptions, More: true}
		return extended.Fragment(f, append(append([]byte{wire.ICMPv6, 0, 1, 4, 0, 0, 0, 0}, kind), wire.Payload(7)...))
	}
	for _, c := range []struct {
		name   string
		packet []byte
		want   bool
	}{
		{"UDP", udpFrom(inbound), true},
		{"TCP", fragmentOf(wire.TCP, 0), true},
		{"echo request", fragmentOf(wire.ICMPv6, 0, 128), true},
		{"echo reply", fragmentOf(wire.ICMPv6, 0, 129), true},
		{"destination unreachable", fragmentOf(wire.ICMPv6, 0, 1), false},
		{"packet too big", fragmentOf(wire.ICMPv6, 0, 2), false},
		{"time exceeded", fragmentOf(wire.ICMPv6, 0, 3), false},
		{"parameter problem", fragmentOf(wire.ICMPv6, 0, 4), false},
		{"unknown error", fragmentOf(wire.ICMPv6, 0, 127), false},
		{"redirect", fragmentOf(wire.ICMPv6, 0, 137), false},
		{"ICMPv6 without its type", inbound.Fragment(wire.Fragment{ID: 1, Next: wire.ICMPv6, More: true}, nil), false},
		{"what looks like an error in a later fragment", fragmentOf(wire.ICMPv6, 8, 1), true},
		{"error behind options on both sides", behindOptions(1), false},
		{"echo request behind options on both sides", behindOptions(128), true},
		{"error in an atomic fragment", inbound.Fragment(wire.Fragment{Next: wire.ICMPv6}, []byte{1, 0, 0, 0, 0, 0, 0, 0}), false},
		{"cut off in the Fragment header", inbound.Packet(wire.FragmentHeader, []byte{wire.ICMPv6, 0, 0}), true},
		{"to multicast", udpFrom(between("fd00:6::1", "ff02::1")), false},
		{"to somebody else", udpFrom(between("fd00:6::1", "fd00:6::99")), false},
		{"to the unspecified address", udpFrom(between("fd00:6::1", "::")), false},
		{"to loopback", udpFrom(between("fd00:6::1", "::1")), false},
		{"to our other address", udpFrom(between("fd00:6::1", "fd00:6::99:1")), true},
		{"to our link-local address", udpFrom(between("fe80::1", "fe80::2")), true},
		{"from the unspecified address", udpFrom(between("::", "fd00:6::2")), false},
		{"from multicast", udpFrom(between("ff02::1", "fd00:6::2")), false},
		{"from loopback", udpFrom(between("::1", "fd00:6::2")), false},
		{"from ourselves", udpFrom(between("fd00:6::2", "fd00:6::2")), false},
		{"from our other address", udpFrom(between("fd00:6::99:1", "fd00:6::2")), false},
		{"no whole IPv6 header", udpFrom(inbound)[:39], false},
		{"nothing", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, newChannelLink(), linkep.Options{}, local,
				netip.MustParseAddr("fd00:6::99:1"), netip.MustParseAddr("fe80::2"))
			got := n.drop(t, unaligned, c.packet, nil)
			if !c.want {
				if got != nil || n.Stats().ErrorsSuppressed != 1 {
					t.Errorf("sent %x, suppressed %d, want nothing sent", got, n.Stats().ErrorsSuppressed)
				}
				return
			}
			from, _ := netip.AddrFromSlice(c.packet[24:40])
			to, _ := netip.AddrFromSlice(c.packet[8:24])
			check(t, got, errorPacket(from, to, unaligned, c.packet))
		})
	}
}

// The table of replySource, by the state of the NIC.
func TestWhereErrorsComeFrom(t *testing.T) {
	const promiscuous, spoofing = 1, 2
	mine := netip.MustParseAddr("fd00:6::77")
	none := netip.Addr{}
	for _, c := range []struct {
		name        string
		modes       int
		address     netip.Addr // of the NIC
		source      netip.Addr // of the cause
		destination netip.Addr
		want        netip.Addr
	}{
		{"our own", 0, local, peer, local, local},
		{"another's", 0, mine, peer, local, none},
		{"no address", 0, none, peer, local, none},
		{"promiscuous, our own", promiscuous, local, peer, local, local},
		{"promiscuous, another's", promiscuous, mine, peer, local, mine},
		{"promiscuous, another's, from ourselves", promiscuous, mine, mine, local, none},
		{"promiscuous, no address", promiscuous, none, peer, local, local},
		{"promiscuous, no address, multicast", promiscuous, none, peer, netip.MustParseAddr("ff0e::1"), none},
		{"promiscuous, no address, from and to the same", promiscuous, none, peer, peer, none},
		{"promiscuous, no address, loopback", promiscuous, none, peer, netip.MustParseAddr("::1"), none},
		{"spoofing, another's", spoofing, mine, peer, local, local},
		{"spoofing, from ourselves", spoofing, mine, mine, local, none},
		{"spoofing, no address", spoofing, none, peer, local, local},
		{"both, no address", promiscuous | spoofing, none, peer, local, local},
		{"both, our own", promiscuous | spoofing, mine, peer, mine, mine},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, newChannelLink(), linkep.Options{})
			if c.address.IsValid() {
				addAddress(t, n.stack, nicID, c.address)
			}
			n.stack.SetPromiscuousMode(nicID, c.modes&promiscuous != 0)
			n.stack.SetSpoofing(nicID, c.modes&spoofing != 0)
			h := wire.Header{Source: c.source, Destination: c.destination}
			packet := h.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, wire.Payload(12))
			got := n.drop(t, timeExceeded, packet, nil)
			if !c.want.IsValid() {
				if got != nil {
					t.Errorf("sent %x, want nothing", got)
				}
				return
			}
			check(t, got, errorPacket(c.want, c.source, timeExceeded, packet))
		})
	}
}

// Every quote is as long as 1,280 octets allow and no longer.
func TestQuoteLength(t *testing.T) {
	n := newNode(t, newChannelLink(), linkep.Options{}, local)
	for _, size := range []int{1, 1183, 1184, 1185, 1400, 60000} {
		packet := inbound.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, wire.Payload(size))
		got := n.drop(t, timeExceeded, packet, nil)
		if len(got) > header.IPv6MinimumMTU {
			t.Errorf("error of %d octets", len(got))
		}
		check(t, got, errorPacket(local, peer, timeExceeded, packet))
	}
}

// On Ethernet the error goes back to the neighbor the cause came from, not to
// one a route would name.
func TestErrorsOnEthernet(t *testing.T) {
	packet := inbound.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, wire.Payload(12))
	group := frame(nil)
	group[0] |= 1
	for _, c := range []struct {
		name  string
		frame []byte
		want  bool
	}{
		{"unicast", frame(nil), true},
		{"link-layer multicast", group, false},
		{"link header unknown", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, newEthernetLink(), linkep.Options{}, local)
			got := n.drop(t, timeExceeded, packet, c.frame)
			if c.want {
				check(t, got, errorPacket(local, peer, timeExceeded, packet))
			} else if got != nil {
				t.Errorf("sent %x, want nothing", got)
			}
		})
	}
}

func TestErrorsAreLimited(t *testing.T) {
	packet := inbound.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, wire.Payload(12))
	n := newNode(t, newChannelLink(), linkep.Options{}, local)
	burst := func() (sent int) {
		for range 100 {
			if n.drop(t, timeExceeded, packet, nil) != nil {
				sent++
			}
		}
		return sent
	}
	for _, c := range []struct {
		pass time.Duration
		want int
	}{{0, 50}, {0, 0}, {10 * time.Millisecond, 10}, {time.Hour, 50}} {
		n.clock.Advance(c.pass)
		if got := burst(); got != c.want {
			t.Errorf("%v later: %d sent, want %d", c.pass, got, c.want)
		}
	}
	if s := n.Stats(); s.ErrorsSent != 110 || s.ErrorsLimited != 290 {
		t.Errorf("counted %d sent and %d limited, want 110 and 290", s.ErrorsSent, s.ErrorsLimited)
	}
}

// Given the stack, the endpoint asks its limiter.
func TestErrorsAreLimitedByTheStack(t *testing.T) {
	packet := inbound.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, wire.Payload(12))
	lower, s := newChannelLink(), newStack(t)
	n := &node{lower: lower, stack: s, Endpoint: newEndpoint(t, lower.endpoint(), linkep.Options{Stack: s})}
	addNIC(t, s, nicID, n.Endpoint, local)
	s.SetICMPLimit(0)
	s.SetICMPBurst(3)
	for i := range 5 {
		if sent := n.drop(t, timeExceeded, packet, nil) != nil; sent != (i < 3) {
			t.Errorf("error %d: sent %v", i, sent)
		}
	}
}

func TestNoErrors(t *testing.T) {
	packet := inbound.Fragment(wire.Fragment{ID: 1, Next: wire.UDPProtocol, More: true}, wire.Payload(12))
	told := 0
	onDrop := func(*defrag.Drop) { told++ }
	t.Run("switched off", func(t *testing.T) {
		n := newNode(t, newChannelLink(), linkep.Options{NoICMPErrors: true, OnDrop: onDrop}, local)
		n.HandleDrop(&defrag.Drop{Error: timeExceeded})
		if n.Stats() != (linkep.Stats{}) {
			t.Errorf("counted %+v", n.Stats())
		}
	})
	t.Run("none owed", func(t *testing.T) {
		n := newNode(t, newChannelLink(), linkep.Options{OnDrop: onDrop}, local)
		if got := n.drop(t, defrag.ICMPError{}, packet, nil); got != nil || n.Stats() != (linkep.Stats{}) {
			t.Errorf("sent %x, counted %+v", got, n.Stats())
		}
	})
	t.Run("NIC disabled", func(t *testing.T) {
		n := newNode(t, newChannelLink(), linkep.Options{OnDrop: onDrop}, local)
		n.stack.DisableNIC(nicID)
		if got := n.drop(t, timeExceeded, packet, nil); got != nil {
			t.Errorf("sent %x", got)
		}
	})
	t.Run("no NIC", func(t *testing.T) {
		lower := newChannelLink()
		n := &node{lower: lower, Endpoint: newEndpoint(t, lower.endpoint(), linkep.Options{OnDrop: onDrop})}
		n.Attach(new(recorder))
		if got := n.drop(t, timeExceeded, packet, nil); got != nil || n.Stats().ErrorsSuppressed != 1 {
			t.Errorf("sent %x, counted %+v", got, n.Stats())
		}
	})
	t.Run("detached", func(t *testing.T) {
		n := newNode(t, newChannelLink(), linkep.Options{OnDrop: onDrop}, local)
		n.Attach(nil)
		if got := n.drop(t, timeExceeded, packet, nil); got != nil {
			t.Errorf("sent %x", got)
		}
	})
	t.Run("link full", func(t *testing.T) {
		lower := newChannelLink()
		n := newNode(t, lower, linkep.Options{OnDrop: onDrop}, local)
		lower.Endpoint.Close()
		if got := n.drop(t, timeExceeded, packet, nil); got != nil || n.Stats().ErrorsFailed != 1 {
			t.Errorf("sent %x, counted %+v", got, n.Stats())
		}
	})
	if told != 6 {
		t.Errorf("OnDrop was called %d times, want 6", told)
	}
}
