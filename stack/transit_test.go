package stack_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

func packetFrom(source, destination string) []byte {
	h := wire.Header{Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr(destination)}
	return h.Packet(wire.UDPProtocol, h.UDP(9, 7, wire.Payload(100)))
}

// What is never forwarded, whatever the routes say.
func TestNeverForwarded(t *testing.T) {
	everywhere := func(cfg *stack.Config) {
		off := false
		cfg.Links[0].CheckSource = &off
		cfg.Routes = []stack.Route{{Prefix: netip.MustParsePrefix("::/0"), Link: "b"}}
	}
	const none = stack.NumDropReasons // goes up
	for _, test := range []struct {
		name, source, destination string
		reason                    stack.DropReason
		code                      int // of the Destination Unreachable; -1: none
	}{
		{"unspecified source", "::", "2001:db8:b::1", stack.BadSource, -1},
		{"loopback source", "::1", "2001:db8:b::1", stack.BadSource, -1},
		{"multicast source", "ff0e::1", "2001:db8:b::1", stack.BadSource, -1},
		{"link-local source", "fe80::1", "2001:db8:b::1", stack.BadSource, 2},
		{"our source", "2001:db8:a::ff", "2001:db8:b::1", stack.SpoofedSource, -1},
		{"our other source", "2001:db8:b::ff", "2001:db8:b::1", stack.SpoofedSource, -1},
		{"unspecified destination", "2001:db8:a::1", "::", stack.BadDestination, -1},
		{"loopback destination", "2001:db8:a::1", "::1", stack.BadDestination, -1},
		{"multicast destination", "2001:db8:a::1", "ff0e::1", none, -1},
		{"link-local destination", "2001:db8:a::1", "fe80::1", none, -1},
		{"ourselves, from a spoofed source", "2001:db8:b::ff", "2001:db8:a::ff", stack.SpoofedSource, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRouter(t, 1500, 1500, everywhere)
			cause := packetFrom(test.source, test.destination)
			inject(r.a, cause)
			if test.code >= 0 {
				wantError(t, r.a, routerA.Addr(), 1, uint8(test.code), 0, cause)
			}
			r.wantSilence(test.name)
			r.wantDrop("a", test.reason, 1)
			if a := r.link("a"); test.reason == none && a.Received.Packets != 1 {
				t.Errorf("%d packets went up, want 1", a.Received.Packets)
			}
		})
	}
}

// wantDrop checks that a link's packets were dropped for that reason only, so
// many times; NumDropReasons stands for none.
func (r *router) wantDrop(link string, reason stack.DropReason, n uint64) {
	r.t.Helper()
	for i, got := range r.link(link).Drops {
		want := uint64(0)
		if stack.DropReason(i) == reason {
			want = n
		}
		if got != want {
			r.t.Errorf("link %s: %d drops because of %v, want %d", link, got, stack.DropReason(i), want)
		}
	}
}

// Packets that end before their header says, and jumbograms.
func TestMalformed(t *testing.T) {
	r := newRouter(t, 1500, 1500, nil)
	h := wire.Header{Source: hostA, Destination: hostB, Extensions: wire.Extensions{}.With(wire.HopByHop, wire.Options(1))}
	packet := h.Packet(wire.UDPProtocol, h.UDP(9, 7, wire.Payload(100)))
	jumbogram := bytes.Clone(packet)
	binary.BigEndian.PutUint16(jumbogram[4:], 0)
	inject(r.a, packet[:len(packet)-1], packet[:48], packet[:40], jumbogram)
	r.wantSilence("malformed")
	r.wantDrop("a", stack.Malformed, 4)
	inject(r.a, packet[:39], packet[:1])
	r.wantSilence("no header")
}

// Strict reverse path: on for links with addresses, and settable.
func TestCheckSource(t *testing.T) {
	on, off := true, false
	for _, test := range []struct {
		name      string
		check     *bool
		addresses bool
		source    string
		pass      bool
	}{
		{"on the link", nil, true, "2001:db8:a::1", true},
		{"behind the link", nil, true, "2001:db8:e::1", true},
		{"on another link", nil, true, "2001:db8:b::9", false},
		{"behind another link", nil, true, "2001:db8:f::9", false},
		{"nowhere", nil, true, "2001:db8:99::9", false},
		{"nowhere, off", &off, true, "2001:db8:99::9", true},
		{"on another link, off", &off, true, "2001:db8:b::9", true},
		{"nowhere, no addresses", nil, false, "2001:db8:99::9", true},
		{"nowhere, no addresses, on", &on, false, "2001:db8:99::9", false},
		{"behind the link, no addresses, on", &on, false, "2001:db8:e::1", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRouter(t, 1500, 1500, func(cfg *stack.Config) {
				cfg.Links[0].CheckSource = test.check
				if !test.addresses {
					cfg.Links[0].Addresses = []netip.Prefix{netip.MustParsePrefix("fe80::1/64")}
				}
				cfg.Routes = append(cfg.Routes, stack.Route{Prefix: netip.MustParsePrefix("2001:db8:e::/48"), Link: "a"})
			})
			packet := packetFrom(test.source, hostB.String())
			inject(r.a, packet)
			if !test.pass {
				r.wantSilence(test.name)
				r.wantDrop("a", stack.SpoofedSource, 1)
				return
			}
			if got := sent(t, r.b); !bytes.Equal(got, next(packet)) {
				t.Errorf("forwarded\n%x\nwant\n%x", got, next(packet))
			}
		})
	}
}

// The errors that a router owes, from its own address on the link, whichever
// way the packet was going.
func TestErrors(t *testing.T) {
	h := wire.Header{Source: hostA, Destination: hostB}
	limited := func(limit uint8, destination string) []byte {
		packet := packetFrom(hostA.String(), destination)
		packet[7] = limit
		return packet
	}
	for _, test := range []struct {
		name       string
		cause      []byte
		kind, code uint8
		value      uint32
		reason     stack.DropReason
	}{
		{"hop limit 1", limited(1, hostB.String()), 3, 0, 0, stack.HopLimitExceeded},
		{"hop limit 0", limited(0, hostB.String()), 3, 0, 0, stack.HopLimitExceeded},
		{"hop limit 1, no route", limited(1, "2001:db8:99::1"), 3, 0, 0, stack.HopLimitExceeded},
		{"no route", packetFrom(hostA.String(), "2001:db8:99::1"), 1, 0, 0, stack.NoRoute},
		{"back to a neighbor on the link", packetFrom(hostA.String(), "2001:db8:a::7"), 1, 3, 0, stack.NoRoute},
		{"too big", h.Packet(wire.UDPProtocol, h.UDP(9, 7, wire.Payload(1280-47))), 2, 0, 1280, stack.PacketTooBig},
		{"echo request too big", h.Packet(wire.ICMPv6, h.Echo(1, 2, wire.Payload(1400))), 2, 0, 1280, stack.PacketTooBig},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRouter(t, 1500, 1280, nil)
			inject(r.a, test.cause)
			wantError(t, r.a, routerA.Addr(), test.kind, test.code, test.value, test.cause)
			r.wantSilence(test.name)
			r.wantDrop("a", test.reason, 1)
			if n := r.link("a").Link.ErrorsSent; n != 1 {
				t.Errorf("%d errors sent, want 1", n)
			}
		})
	}
	t.Run("fits", func(t *testing.T) {
		r := newRouter(t, 1500, 1280, nil)
		packet := h.Packet(wire.UDPProtocol, h.UDP(9, 7, wire.Payload(1280-48)))
		inject(r.a, packet)
		if got := sent(t, r.b); !bytes.Equal(got, next(packet)) {
			t.Error("a packet of the link's MTU is changed")
		}
	})
}

// R43: fragments are judged by the largest of them, however long the datagram;
// the error quotes the first fragment as it came.
func TestTooBigFragments(t *testing.T) {
	h := wire.Header{Source: hostA, Destination: hostB}
	message := h.UDP(9, 7, wire.Payload(20000))
	for _, test := range []struct {
		name string
		size int // of the fragments' payload
		pass bool
	}{
		{"1280 octets", 1232, true},
		{"1288 octets", 1240, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRouter(t, 1500, 1280, nil)
			fragments := h.Split(7, wire.UDPProtocol, message, test.size)
			inject(r.a, fragments...)
			if !test.pass {
				wantError(t, r.a, routerA.Addr(), 2, 0, 1280, fragments[0])
				r.wantSilence(test.name)
				r.wantDrop("a", stack.PacketTooBig, 1)
				return
			}
			for i, fragment := range fragments {
				if got := sent(t, r.b); !bytes.Equal(got, next(fragment)) {
					t.Errorf("fragment %d differs", i)
				}
			}
			r.wantSilence(test.name)
		})
	}
	t.Run("only a later fragment", func(t *testing.T) {
		r := newRouter(t, 1500, 1280, nil)
		small := h.Fragment(wire.Fragment{ID: 8, Next: wire.UDPProtocol, More: true}, message[:800])
		large := h.Fragment(wire.Fragment{ID: 8, Next: wire.UDPProtocol, Offset: 800}, message[800:2200])
		inject(r.a, small, large)
		wantError(t, r.a, routerA.Addr(), 2, 0, 1280, small)
		r.wantSilence("a later fragment")
	})
	t.Run("time exceeded", func(t *testing.T) {
		r := newRouter(t, 1500, 1280, nil)
		h.HopLimit = 1
		fragments := h.Split(9, wire.UDPProtocol, message, 1024)
		inject(r.a, fragments...)
		wantError(t, r.a, routerA.Addr(), 3, 0, 0, fragments[0])
		r.wantSilence("time exceeded")
	})
}

// RFC 6946, R44: an atomic fragment goes on whole.
func TestForwardAtomic(t *testing.T) {
	r := newRouter(t, 1500, 1280, nil)
	h := wire.Header{Source: hostA, Destination: hostB}
	message := h.UDP(9, 7, wire.Payload(1280-48))
	inject(r.a, h.Fragment(wire.Fragment{ID: 7, Next: wire.UDPProtocol}, message))
	if got, want := sent(t, r.b), next(h.Packet(wire.UDPProtocol, message)); !bytes.Equal(got, want) {
		t.Errorf("forwarded\n%x\nwant\n%x", got, want)
	}
}

// R39: no error about an error, in whole or in fragments, though both are
// forwarded.
func TestNoErrorAboutErrors(t *testing.T) {
	r := newRouter(t, 1500, 1500, nil)
	h := wire.Header{Source: hostA, Destination: netip.MustParseAddr("2001:db8:99::1")}
	for _, kind := range []uint8{1, 2, 3, 4, 100, 127, 137} {
		inject(r.a, h.Packet(wire.ICMPv6, h.ICMP(kind, 0, wire.Payload(100))))
	}
	r.wantSilence("errors without a route")
	r.wantDrop("a", stack.NoRoute, 7)
	if n := r.link("a").Link.ErrorsSuppressed; n != 7 {
		t.Errorf("%d errors suppressed, want 7", n)
	}
	h.Destination = hostB
	packet := h.Packet(wire.ICMPv6, h.ICMP(1, 0, wire.Payload(100)))
	inject(r.a, packet)
	if got := sent(t, r.b); !bytes.Equal(got, next(packet)) {
		t.Error("an ICMPv6 error is not forwarded")
	}
}

// R40: a storm is answered at the limiter's rate.
func TestErrorLimit(t *testing.T) {
	clock := faketime.NewManualClock()
	r := newRouter(t, 1500, 1500, func(cfg *stack.Config) { cfg.Clock = clock })
	cause := packetFrom(hostA.String(), "2001:db8:99::1")
	for range 200 {
		inject(r.a, cause)
	}
	if n := r.a.NumQueued(); n != 50 {
		t.Errorf("%d errors at once, want 50", n)
	}
	r.a.Drain()
	clock.Advance(10 * time.Millisecond)
	for range 200 {
		inject(r.a, cause)
	}
	if n := r.a.NumQueued(); n != 10 {
		t.Errorf("%d errors in 10 ms, want 10", n)
	}
	r.a.Drain()
	r.wantDrop("a", stack.NoRoute, 400)
	if link := r.link("a").Link; link.ErrorsSent != 60 || link.ErrorsLimited != 340 {
		t.Errorf("%d errors sent, %d limited; want 60, 340", link.ErrorsSent, link.ErrorsLimited)
	}
}

// A router of which no link has an address answers in the name of the
// destination; one with any address has that.
func TestErrorSource(t *testing.T) {
	for _, test := range []struct {
		name      string
		addresses []netip.Prefix // of link b
		want      string
	}{
		{"none", nil, "2001:db8:99::1"},
		{"another link's", []netip.Prefix{routerB}, routerB.Addr().String()},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRouter(t, 1500, 1500, func(cfg *stack.Config) {
				cfg.Links[0].Addresses = nil
				cfg.Links[1].Addresses = test.addresses
			})
			cause := packetFrom(hostA.String(), "2001:db8:99::1")
			inject(r.a, cause)
			wantError(t, r.a, netip.MustParseAddr(test.want), 1, 0, 0, cause)
		})
	}
}

// A routing loop ends at the hop limit.
func TestLoop(t *testing.T) {
	packet := packetFrom(hostA.String(), farHost.String())
	loop := func(cfg *stack.Config) { // b's neighbor sends everything back.
		off := false
		cfg.Links[1].CheckSource = &off
	}
	r := newRouter(t, 1500, 1500, loop)
	inject(r.a, packet)
	for hops := 0; ; hops++ {
		if hops > 255 {
			t.Fatal("the packet lives for ever")
		}
		if r.b.NumQueued() == 0 {
			break
		}
		got := sent(t, r.b)
		if got[6] != wire.UDPProtocol {
			if hops != 63 || got[40] != 3 {
				t.Errorf("after %d hops: %x", hops, got)
			}
			break
		}
		inject(r.b, got)
	}
	r.wantSilence("the loop")
}

// R33: reassembly owes its errors for datagrams on their way to others, too,
// and for those to an address of ours on another link; not for what would not
// be forwarded.
func TestReassemblyErrors(t *testing.T) {
	for _, test := range []struct {
		name, source, destination string
		from                      netip.Addr // invalid: no error
	}{
		{"forwarded", hostA.String(), hostB.String(), routerA.Addr()},
		{"ours", hostA.String(), routerA.Addr().String(), routerA.Addr()},
		{"ours, another link's", hostA.String(), routerB.Addr().String(), routerB.Addr()},
		{"no route", hostA.String(), "2001:db8:99::1", netip.Addr{}},
		{"spoofed", hostB.String(), farHost.String(), netip.Addr{}},
		{"our source", routerB.Addr().String(), farHost.String(), netip.Addr{}},
		{"link-local", "fe80::1", hostB.String(), netip.Addr{}},
		{"multicast", hostA.String(), "ff0e::1", netip.Addr{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := faketime.NewManualClock()
			r := newRouter(t, 1500, 1500, func(cfg *stack.Config) { cfg.Clock = clock })
			h := wire.Header{Source: netip.MustParseAddr(test.source), Destination: netip.MustParseAddr(test.destination)}
			first := h.Split(1, wire.UDPProtocol, h.UDP(9, 7, wire.Payload(2000)), 1024)[0]
			inject(r.a, first)
			clock.Advance(70 * time.Second)
			if test.from.IsValid() {
				wantError(t, r.a, test.from, 3, 1, 0, first)
			}
			r.wantSilence(test.name)
		})
	}
}
