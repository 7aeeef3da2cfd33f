package stack_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// Each of a router's addresses answers through each of its links, and the
// answer goes where the route to the source leads.
func TestRouterAnswers(t *testing.T) {
	r := newRouter(t, 1500, 1500, nil)
	for _, source := range []netip.Addr{hostA, hostB, farHost} {
		in := r.a
		if source != hostA {
			in = r.b
		}
		for _, ours := range []netip.Addr{routerA.Addr(), routerB.Addr()} {
			h := wire.Header{Source: source, Destination: ours, HopLimit: 1}
			for _, size := range []int{56, 8000} {
				echo := h.Echo(1, 2, wire.Payload(size))
				inject(in, h.Split(uint32(size), wire.ICMPv6, echo, 1232)...)
				reply := reassembled(t, in)
				if reply.source != ours || reply.destination != source || reply.payload[0] != 129 || !bytes.Equal(reply.payload[4:], echo[4:]) {
					t.Errorf("ping of %d octets from %s to %s: reply of %d octets from %s", size, source, ours, len(reply.payload), reply.source)
				}
				r.wantSilence("after the reply")
			}
		}
	}
	r.wantDrop("a", stack.NumDropReasons, 0)
}

// Sockets at any of a router's addresses are reached through any of its links.
func TestRouterSockets(t *testing.T) {
	r := newRouter(t, 1500, 1500, nil)
	for _, listen := range []string{"[::]:7", "[2001:db8:a::ff]:8", "[2001:db8:b::ff]:9"} {
		p, err := r.ListenPacket("udp", listen)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		p.SetDeadline(time.Now().Add(patience))
		at := netip.MustParseAddrPort(listen)
		for _, ours := range []netip.Addr{routerA.Addr(), routerB.Addr()} {
			if !at.Addr().IsUnspecified() && at.Addr() != ours {
				continue
			}
			h := wire.Header{Source: farHost, Destination: ours}
			inject(r.b, h.Packet(wire.UDPProtocol, h.UDP(99, at.Port(), []byte("question"))))
			b := make([]byte, 100)
			n, from, err := p.ReadFrom(b)
			if err != nil || string(b[:n]) != "question" {
				t.Fatalf("%s: read %q, %v", listen, b[:n], err)
			}
			if _, err := p.WriteTo([]byte("answer"), from); err != nil {
				t.Errorf("%s: %v", listen, err)
				continue
			}
			reply := header.IPv6(sent(t, r.b))
			if got := netip.AddrFrom16(reply.DestinationAddress().As16()); got != farHost {
				t.Errorf("%s: the answer goes to %s", listen, got)
			}
		}
	}
	r.wantSilence("at the end")
}

// A stack that does not forward takes what is its own, and is silent about the
// rest.
func TestForwardOff(t *testing.T) {
	r := newRouter(t, 1500, 1500, func(cfg *stack.Config) { cfg.Forward = false })
	inject(r.a, packetFrom(hostA.String(), hostB.String()))
	r.wantSilence("no router")
	r.wantDrop("a", stack.NumDropReasons, 0)
}

// tooBig is a Packet Too Big from a router on the way about a packet of ours.
func tooBig(about []byte, mtu uint32) []byte {
	ours := netip.AddrFrom16(header.IPv6(about).SourceAddress().As16())
	h := wire.Header{Source: hostB, Destination: ours}
	rest := binary.BigEndian.AppendUint32(nil, mtu)
	return h.Packet(wire.ICMPv6, h.ICMP(2, 0, append(rest, about[:min(len(about), 1232)]...)))
}

// R45, R47: what we send to a destination is split to the path's MTU for ten
// minutes.
func TestPathMTU(t *testing.T) {
	for _, forward := range []bool{false, true} {
		clock := faketime.NewManualClock()
		r := newRouter(t, 1500, 1500, func(cfg *stack.Config) { cfg.Forward, cfg.Clock = forward, clock })
		conn := dialUDP(t, r, farHost)
		message := wire.Payload(4000)
		sizes := func() (sizes []int, about []byte) {
			t.Helper()
			if _, err := conn.Write(message); err != nil {
				t.Fatal(err)
			}
			var payload []byte
			for r.b.NumQueued() > 0 {
				packet := sent(t, r.b)
				about = packet
				sizes = append(sizes, len(packet))
				if packet[6] != wire.FragmentHeader {
					t.Fatalf("no fragment: %x", packet[:48])
				}
				field := binary.BigEndian.Uint16(packet[42:])
				if int(field&^7) != len(payload) || (field&1 != 0) != (r.b.NumQueued() > 0) {
					t.Errorf("fragment at %d, flags %d, after %d octets", field&^7, field&7, len(payload))
				}
				payload = append(payload, packet[48:]...)
				if got, want := packet[44:48], about[44:48]; !bytes.Equal(got, want) {
					t.Errorf("identification %x, want %x", got, want)
				}
			}
			h := wire.Header{Source: routerB.Addr(), Destination: farHost}
			if len(payload) != 4008 || !bytes.Equal(payload[8:], message) || h.Checksum(wire.UDPProtocol, payload) != 0 {
				t.Errorf("%d octets of payload, or others", len(payload))
			}
			return sizes, about
		}
		want := func(what string, most int) []byte {
			t.Helper()
			got, about := sizes()
			for _, size := range got {
				if size > most {
					t.Errorf("forward %v, %s: packets of %d octets, want at most %d", forward, what, got, most)
				}
			}
			if largest := got[0]; largest <= most-8 {
				t.Errorf("forward %v, %s: the first packet has %d octets, want about %d", forward, what, largest, most)
			}
			return about
		}
		about := want("at first", 1500)
		inject(r.b, tooBig(about, 1279), tooBig(about, 0))
		want("R45 MTU below 1280", 1500)
		r.wantDrop("b", stack.SmallPathMTU, 2)
		hidden := wire.Header{
			Source: hostB, Destination: routerB.Addr(),
			Extensions: wire.Extensions{}.With(wire.HopByHop, wire.Options(1)).With(wire.DestinationOptions, wire.Options(2)),
		}
		rest := append([]byte{0, 0, 4, 255}, about[:100]...)
		inject(r.b, hidden.Packet(wire.ICMPv6, hidden.ICMP(2, 0, rest)))
		want("R45 behind options", 1500)
		long := append([]byte{0, 0, 4, 255}, wire.Payload(4000)...)
		h := wire.Header{Source: hostB, Destination: routerB.Addr()}
		inject(r.b, h.Split(9, wire.ICMPv6, h.ICMP(2, 0, long), 1232)...)
		want("R45 of many octets", 1500)
		r.wantDrop("b", stack.SmallPathMTU, 4)
		bad := tooBig(about, 1300)
		bad[43] ^= 1
		inject(r.b, bad)
		want("bad checksum", 1500)
		foreign := bytes.Clone(about)
		foreign[23] ^= 1
		inject(r.b, h.Packet(wire.ICMPv6, h.ICMP(2, 0, append([]byte{0, 0, 5, 20}, foreign[:100]...))))
		want("not our packet", 1500)
		inject(r.b, tooBig(about, 1400))
		want("R47 MTU 1400", 1400)
		inject(r.b, tooBig(about, 1450))
		want("R47 larger MTU", 1400)
		inject(r.b, tooBig(about, 1280))
		want("R47 MTU 1280", 1280)
		clock.Advance(10*time.Minute - time.Second)
		want("R47 for ten minutes", 1280)
		clock.Advance(2 * time.Second)
		want("R47 afterwards", 1500)
	}
}

// R47: a packet that had been whole is split, too; other destinations' are not.
func TestPathMTUWhole(t *testing.T) {
	r := newRouter(t, 1500, 1500, nil)
	conn, other := dialUDP(t, r, farHost), dialUDP(t, r, hostB)
	conn.Write(wire.Payload(1400))
	whole := sent(t, r.b)
	inject(r.b, tooBig(whole, 1300))
	conn.Write(wire.Payload(1400))
	first, second := sent(t, r.b), sent(t, r.b)
	if len(first) != 1296 || len(second) != 1408-1248+48 || !bytes.Equal(first[44:48], second[44:48]) {
		t.Errorf("fragments of %d and %d octets, identifications %x and %x", len(first), len(second), first[44:48], second[44:48])
	}
	if got := append(first[48:], second[48:]...); !bytes.Equal(got, whole[40:]) {
		t.Error("the payload differs")
	}
	other.Write(wire.Payload(1400))
	if got := sent(t, r.b); len(got) != 1448 {
		t.Errorf("to another destination: %d octets", len(got))
	}
	r.wantSilence("at the end")
}

// dialUDP returns a UDP socket connected to port 7 of host.
func dialUDP(t *testing.T, n network, host netip.Addr) net.Conn {
	t.Helper()
	conn, err := n.DialContext(context.Background(), "udp", netip.AddrPortFrom(host, 7).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
