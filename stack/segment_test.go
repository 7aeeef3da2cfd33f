package stack_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
)

// streams are of many sizes, some with extension headers.
func streams() (all []stream) {
	random := rand.New(rand.NewPCG(3, 4))
	options := wire.Extensions{}.With(wire.HopByHop, wire.Options(1)).With(wire.DestinationOptions, wire.Options(3))
	for _, size := range []int{0, 1, 100, 180, 1399, 1400, 1401, 2800, 30_000, 65_000} {
		all = append(all, newStream(size, 1400))
	}
	for range 40 {
		s := newStream(random.IntN(65_000), 1+random.IntN(1400))
		if s.mss < 50 {
			s.payload = s.payload[:min(len(s.payload), 40*s.mss)]
		}
		s.segment.Options = wire.Payload(4 * random.IntN(11))
		if random.IntN(3) == 0 {
			s.header.Extensions = options
		}
		all = append(all, s)
	}
	return all
}

// R46: what arrived large leaves large through a link that cuts it, hop limit
// apart, and is counted as the packets it stands for.
func TestLargeSegmentsStayLarge(t *testing.T) {
	r := newRouter(t, 1500, 1500, withOffloads("ab"))
	var total stack.Traffic
	for _, s := range streams() {
		injectLarge(r.a, s.large(), largeGSO(s.mss))
		got := departures(r.b)
		want := largeGSO(s.mss)
		want.L3HdrLen = uint16(40 + s.header.Extensions.Len())
		switch {
		case len(got) != 1:
			t.Fatalf("%d octets: %d packets went, want 1", len(s.payload), len(got))
		case !bytes.Equal(got[0].octets, next(s.large())):
			t.Errorf("%d octets:\n%x\nwant\n%x", len(s.payload), got[0].octets, next(s.large()))
		case got[0].gso != want:
			t.Errorf("%d octets: %+v, want %+v", len(s.payload), got[0].gso, want)
		case got[0].network != int(want.L3HdrLen) || got[0].network+got[0].transport != s.headers() || got[0].protocol != header.TCPProtocolNumber:
			t.Errorf("%d octets: headers of %d and %d octets, protocol %d", len(s.payload), got[0].network, got[0].transport, got[0].protocol)
		}
		total.Packets += s.traffic().Packets
		total.Octets += s.traffic().Octets
	}
	if from, to := r.link("a").ForwardedFrom, r.link("b").ForwardedTo; from != total || to != total {
		t.Errorf("forwarded %+v, %+v; want %+v", from, to, total)
	}
	r.wantSilence("at the end")
}

// R46: through any other link it leaves as the packets it stands for.
func TestLargeSegmentsAreCut(t *testing.T) {
	for name, change := range map[string]func(*stack.Config){
		"no offloads": withOffloads("a"),
		"none at all": nil,
		"too large": func(cfg *stack.Config) {
			cfg.Links[1].Endpoint = &offloading{cfg.Links[1].Endpoint.(*channel.Endpoint), 39}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouter(t, 1500, 1500, change)
			var total stack.Traffic
			for _, s := range streams() {
				injectLarge(r.a, s.large(), largeGSO(s.mss))
				wantPlain(t, name, r.b, s.packets())
				total.Packets += s.traffic().Packets
				total.Octets += s.traffic().Octets
			}
			if from, to := r.link("a").ForwardedFrom, r.link("b").ForwardedTo; from != total || to != total {
				t.Errorf("forwarded %+v, %+v; want %+v", from, to, total)
			}
			r.wantSilence("at the end")
		})
	}
}

// R46: Packet Too Big only where a single segment does not fit, about the first
// of them.
func TestLargeSegmentsTooBig(t *testing.T) {
	for _, offloads := range []string{"a", "ab"} {
		for _, size := range []int{1, 1228, 1229, 5000, 60_000} {
			r := newRouter(t, 1500, 1300, withOffloads(offloads))
			// One octet of payload more or less decides; one segment of fewer
			// octets fits whatever the MSS.
			for mss, fits := range map[int]bool{1228: true, 1229: size < 1229} {
				s := newStream(size, mss)
				injectLarge(r.a, s.large(), largeGSO(mss))
				if fits {
					if got := departures(r.b); len(got) == 0 {
						t.Errorf("%d octets, MSS %d: nothing went", size, mss)
					}
					r.wantDrop("a", stack.NumDropReasons, 0)
				} else {
					wantError(t, r.a, routerA.Addr(), 2, 0, 1300, s.packets()[0])
					r.wantDrop("a", stack.PacketTooBig, s.traffic().Packets)
				}
				r.wantSilence("afterwards")
				if !fits {
					break // Drops stay counted.
				}
			}
		}
	}
}

// Whatever error there is about a large segment quotes the first of the packets
// it stands for, and all of them count as dropped.
func TestErrorsQuoteSegments(t *testing.T) {
	reject := []filter.Rule{{Protocol: filter.TCP, DestinationPorts: []filter.PortRange{{First: 99, Last: 99}}, Action: filter.Reject}}
	for _, c := range []struct {
		name       string
		change     func(*stream)
		kind, code uint8
		reason     stack.DropReason
	}{
		{"hop limit", func(s *stream) { s.header.HopLimit = 1 }, 3, 0, stack.HopLimitExceeded},
		{"no route", func(s *stream) { s.header.Destination = netip.MustParseAddr("2001:db9::1") }, 1, 0, stack.NoRoute},
		{"neighbor", func(s *stream) { s.header.Destination = netip.MustParseAddr("2001:db8:a::2") }, 1, 3, stack.NoRoute},
		{"rule", func(s *stream) { s.segment.DestinationPort = 99 }, 1, 1, stack.Rejected},
		{"beyond scope", func(s *stream) { s.header.Source = netip.MustParseAddr("fe80::1") }, 1, 2, stack.BadSource},
	} {
		for _, size := range []int{10, 5000} {
			r := newRouter(t, 1500, 1500, func(cfg *stack.Config) {
				withOffloads("ab")(cfg)
				cfg.Rules = reject
			})
			s := newStream(size, 1000)
			c.change(&s)
			injectLarge(r.a, s.large(), largeGSO(1000))
			wantError(t, r.a, routerA.Addr(), c.kind, c.code, 0, s.packets()[0])
			r.wantDrop("a", c.reason, s.traffic().Packets)
			r.wantSilence(c.name)
		}
	}
}

// Rules see a large segment once and count it as the packets it stands for.
func TestRulesCountSegments(t *testing.T) {
	r := newRouter(t, 1500, 1500, func(cfg *stack.Config) {
		withOffloads("a")(cfg)
		cfg.Rules = []filter.Rule{
			{Protocol: filter.TCP, DestinationPorts: []filter.PortRange{{First: 99, Last: 99}}, Action: filter.Deny},
			{Protocol: filter.TCP, Action: filter.Allow},
		}
	})
	denied, allowed := newStream(5000, 1000), newStream(7000, 1000)
	denied.segment.DestinationPort = 99
	injectLarge(r.a, denied.large(), largeGSO(1000))
	r.wantSilence("denied")
	r.wantDrop("a", stack.Denied, 5)
	injectLarge(r.a, allowed.large(), largeGSO(1000))
	wantPlain(t, "allowed", r.b, allowed.packets())
	for i, s := range []stream{denied, allowed} {
		if got, want := r.Stats().Filter.Rules[i].Count, s.traffic(); got != (filter.Count{Packets: want.Packets, Bytes: want.Octets}) {
			t.Errorf("rule %d counts %+v, want %+v", i, got, want)
		}
	}
	for flow := range r.Flows() {
		if flow.State != filter.FinWait || flow.There.Packets != 7 {
			t.Errorf("flow %+v", flow)
		}
	}
}

// What is said to be a TCP packet and is none is dropped, and nothing breaks.
func TestMalformedSegments(t *testing.T) {
	h := wire.Header{Source: hostA, Destination: hostB}
	tcp := h.Segment(wire.Segment{}, wire.Payload(3000))
	short := bytes.Clone(tcp)
	short[12] = 4 << 4
	long := h.Segment(wire.Segment{}, nil)
	long[12] = 15 << 4
	for name, packet := range map[string][]byte{
		"UDP":             h.Packet(wire.UDPProtocol, h.UDP(9, 7, wire.Payload(3000))),
		"no header":       h.Packet(wire.TCP, tcp[:12]),
		"short header":    h.Packet(wire.TCP, short),
		"header cut off":  h.Packet(wire.TCP, long),
		"nothing at all":  h.Packet(wire.NoNextHeader, nil),
		"half the packet": h.Packet(wire.TCP, tcp)[:2000],
	} {
		r := newRouter(t, 1500, 1500, withOffloads("a"))
		injectLarge(r.a, packet, largeGSO(1000))
		if n := r.link("a").Drops[stack.Malformed]; n == 0 {
			t.Errorf("%s: not counted as dropped", name)
		}
		r.wantSilence(name)
	}
}

// A link that has no room for all segments takes some; the others are counted.
func TestSegmentsWithoutRoom(t *testing.T) {
	for _, offloads := range []bool{false, true} {
		full := &faulty{Endpoint: channel.New(1, 1500, ""), takes: 2, err: &tcpip.ErrNoBufferSpace{}}
		r := newRouter(t, 1500, 1500, func(cfg *stack.Config) {
			withOffloads("a")(cfg)
			cfg.Links[1].Endpoint = full
			if offloads {
				full.takes = 0
				cfg.Links[1].Endpoint = &faultyOffloading{full}
			}
		})
		s := newStream(9500, 1000)
		injectLarge(r.a, s.large(), largeGSO(1000))
		var want stack.Traffic
		for _, packet := range s.packets()[:full.takes] {
			want.Packets++
			want.Octets += uint64(len(packet))
		}
		if from, to := r.link("a").ForwardedFrom, r.link("b").ForwardedTo; from != want || to != want {
			t.Errorf("forwarded %+v, %+v; want %+v", from, to, want)
		}
		r.wantDrop("a", stack.NoBufferSpace, 10-want.Packets)
	}
}

// A faultyOffloading link has offloads and errors.
type faultyOffloading struct{ *faulty }

func (*faultyOffloading) SupportedGSO() gstack.SupportedGSO { return gstack.HostGSOSupported }
func (*faultyOffloading) GSOMaxSize() uint32                { return 65535 }

// IPv4 is not forwarded, large or not: it goes up as it came.
func TestLargeSegmentsIPv4(t *testing.T) {
	r := newRouter(t, 1500, 1500, withOffloads("ab"))
	packet := make([]byte, 4000)
	header.IPv4(packet).Encode(&header.IPv4Fields{
		TotalLength: 4000, TTL: 64, Protocol: 6,
		SrcAddr: tcpip.AddrFrom4([4]byte{192, 0, 2, 1}), DstAddr: tcpip.AddrFrom4([4]byte{192, 0, 2, 2}),
	})
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
	pkt.GSOOptions = largeGSO(1000)
	pkt.GSOOptions.Type = gstack.GSOTCPv4
	r.a.InjectInbound(header.IPv4ProtocolNumber, pkt)
	pkt.DecRef()
	r.wantSilence("IPv4")
	r.wantDrop("a", stack.NumDropReasons, 0)
	if got := r.link("a").Received; got != (stack.Traffic{Packets: 1, Octets: 4000}) {
		t.Errorf("received %+v", got)
	}
}
