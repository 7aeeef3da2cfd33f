package e2e

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// expectError sends payload by a socket that is told of every ICMPv6 error, and
// checks which one it is told.
func expectError(t *testing.T, s *station, to netip.Addr, hops int, payload []byte, want error) {
	t.Helper()
	socket := s.dial(t, netip.AddrPortFrom(to, echoPort))
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_RECVERR, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS, hops))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := exchange(socket, payload); !errors.Is(err, want) {
		t.Errorf("%d octets to %v with hop limit %d: %v, want %v", len(payload), to, hops, err, want)
	}
}

// TestRouterHopLimit sends packets that may go no further than the router.
func TestRouterHopLimit(t *testing.T) {
	r, a, b := startPair(t, 1500, 1500, nil)
	for _, size := range mixed {
		expectError(t, a, b.addr(), 1, wire.Payload(size), unix.EHOSTUNREACH)
		sent, received := a.wire.drain(t)
		checkRouterErrors(t, a, received, icmpError{3, 0, 0, between(sent, a.addr(), b.addr())[0]})
	}
	r.checkDrops(t, a, map[stack.DropReason]uint64{stack.HopLimitExceeded: uint64(len(mixed))})
	if _, received := b.wire.drain(t); len(between(received, a.addr(), b.addr())) > 0 {
		t.Error("part of it has gone further")
	}
	if err := exchange(a.dial(t, b.serve(t, echoPort)), wire.Payload(4000)); err != nil {
		t.Fatal(err)
	}
}

// TestRouterNoRoute sends packets to where no route leads.
func TestRouterNoRoute(t *testing.T) {
	r, a, _ := startPair(t, 1500, 1500, nil)
	nowhere := netip.MustParseAddr("2001:db8:dead::1")
	for _, size := range mixed {
		expectError(t, a, nowhere, 64, wire.Payload(size), unix.ENETUNREACH)
		sent, received := a.wire.drain(t)
		checkRouterErrors(t, a, received, icmpError{1, 0, 0, between(sent, a.addr(), nowhere)[0]})
	}
	r.checkDrops(t, a, map[stack.DropReason]uint64{stack.NoRoute: uint64(len(mixed))})
}

// TestRouterAddresses sends packets whose addresses have no place on that link
// or beyond it, whole and in fragments. Of them nothing arrives.
func TestRouterAddresses(t *testing.T) {
	r, a, b := startPair(t, 1500, 1500, nil)
	want := make(map[stack.DropReason]uint64)
	for i, test := range []struct {
		source, destination string
		reason              stack.DropReason
	}{
		{"2001:db8:b::1", "2001:db8:b::1", stack.SpoofedSource},
		{"2001:db8:b::2", "2001:db8:b::1", stack.SpoofedSource},
		{"2001:db8:dead::1", "2001:db8:b::1", stack.SpoofedSource},
		{"2001:db8:a::ff", "2001:db8:b::1", stack.SpoofedSource},
		{"2001:db8:b::ff", "2001:db8:b::1", stack.SpoofedSource},
		{"fe80::1", "2001:db8:b::1", stack.BadSource},
		{"::1", "2001:db8:b::1", stack.BadSource},
		{"::", "2001:db8:b::1", stack.BadSource},
		{"ff0e::1", "2001:db8:b::1", stack.BadSource},
		{"2001:db8:a::1", "::1", stack.BadDestination},
		{"2001:db8:a::1", "::", stack.BadDestination},
	} {
		h := wire.Header{Source: netip.MustParseAddr(test.source), Destination: netip.MustParseAddr(test.destination)}
		a.tap.send(t, h.Packet(wire.UDPProtocol, h.UDP(9, echoPort, wire.Payload(1000))))
		a.tap.send(t, h.Split(uint32(i), wire.UDPProtocol, h.UDP(9, echoPort, wire.Payload(2000)), 1024)...)
		want[test.reason] += 2
	}
	service := b.serve(t, echoPort)
	if err := exchange(a.dial(t, service), []byte("marker")); err != nil {
		t.Fatal(err)
	}
	r.checkDrops(t, a, want)
	_, received := b.wire.drain(t)
	for _, packet := range received {
		if destinationOf(packet) == b.addr() && (sourceOf(packet) != a.addr() || packet[6] != wire.UDPProtocol) {
			t.Errorf("from %v there came %s", sourceOf(packet), describe(packet))
		}
	}
}

// TestRouterStorm sends many packets that are owed an error. No more errors
// are sent than the limit allows for the time that took.
func TestRouterStorm(t *testing.T) {
	const packets, burst, perSecond = 3000, 50, 1000
	_, a, b := startPair(t, 1500, 1500, nil)
	service := b.serve(t, echoPort)
	h := a.to(b)
	h.HopLimit = 1
	start := time.Now()
	for range packets {
		a.tap.send(t, h.Packet(wire.UDPProtocol, h.UDP(9, echoPort, nil)))
	}
	if err := exchange(a.dial(t, service), []byte("marker")); err != nil {
		t.Fatal(err)
	}
	got := 0
	for end := deadline(); got == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		_, received := a.wire.drain(t)
		for _, packet := range between(received, a.router.Addr(), a.addr()) {
			if packet[6] == wire.ICMPv6 && packet[40] == 3 {
				got++
			}
		}
	}
	most := burst + int(time.Since(start).Seconds()*perSecond) + 1
	t.Logf("%d errors about %d packets, at most %d allowed", got, packets, most)
	if got == 0 || got > most {
		t.Errorf("%d errors: want 1 to %d", got, most)
	}
}
