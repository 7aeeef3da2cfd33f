package stack_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// A talk is a TCP connection of ours with a far host, from which the test sends
// by hand. Its window is so large that what we write goes at once.
type talk struct {
	conn   net.Conn
	header wire.Header // of the far host's packets
	to     *channel.Endpoint
	next   uint32 // sequence number that we send next
	ack    uint32
	ports  [2]uint16 // ours, the far host's
}

// startTalk accepts a connection from far that comes in through a link of r;
// answers leave through to.
func startTalk(t *testing.T, r *router, in, to *channel.Endpoint, far netip.Addr, ours netip.Addr) *talk {
	t.Helper()
	l, err := r.Listen("tcp", fmt.Sprintf("[%s]:7", ours))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	k := &talk{header: wire.Header{Source: far, Destination: ours}, to: to, ports: [2]uint16{7, 99}}
	// MSS of 1,440 octets and a window of 65,535·128.
	segment := wire.Segment{SourcePort: 99, DestinationPort: 7, Sequence: 1000, Flags: wire.SYN, Window: 65535, Options: []byte{2, 4, 5, 160, 1, 3, 3, 7}}
	inject(in, k.header.Packet(wire.TCP, k.header.Segment(segment, nil)))
	answer := header.TCP(sent(t, to)[40:])
	k.next, k.ack = answer.SequenceNumber()+1, 1001
	segment.Sequence, segment.Acknowledgement, segment.Flags, segment.Options = 1001, k.next, wire.ACK, nil
	inject(in, k.header.Packet(wire.TCP, k.header.Segment(segment, nil)))
	k.conn, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.conn.Close() })
	k.conn.SetDeadline(time.Now().Add(patience))
	return k
}

// write writes octets, which together with earlier ones fit ten packets, the
// first congestion window, and returns the packets that they went in.
func (k *talk) write(t *testing.T, octets []byte) (packets []departure) {
	t.Helper()
	if _, err := k.conn.Write(octets); err != nil {
		t.Fatal(err)
	}
	return departures(k.to)
}

// wantStream checks that packets of at most mtu octets each, cut as they are or
// by their GSOOptions, carry octets.
func (k *talk) wantStream(t *testing.T, what string, got []departure, octets []byte, mtu int, large bool) {
	t.Helper()
	var payload []byte
	for i, d := range got {
		ip := header.IPv6(d.octets)
		tcp := header.TCP(d.octets[40:])
		h := wire.Header{Source: k.header.Destination, Destination: k.header.Source}
		size := len(d.octets)
		switch sum := h.Checksum(wire.TCP, d.octets[40:]); {
		case large && d.gso.MSS > 0:
			headers := 40 + int(tcp.DataOffset())
			size = min(size, headers+int(d.gso.MSS))
		case large || d.gso != (gstack.GSO{}):
			t.Errorf("%s: packet %d has %+v", what, i, d.gso)
		case sum != 0:
			t.Errorf("%s: packet %d: checksum is off by %#x", what, i, sum)
		}
		if ip.NextHeader() != wire.TCP || size > mtu || int(ip.PayloadLength()) != len(d.octets)-40 {
			t.Errorf("%s: packet %d is of protocol %d, with %d octets, on the wire %d, want at most %d", what, i, ip.NextHeader(), len(d.octets), size, mtu)
		}
		if tcp.SequenceNumber() != k.next+uint32(len(payload)) {
			t.Errorf("%s: packet %d has sequence number %d, want %d", what, i, tcp.SequenceNumber(), k.next+uint32(len(payload)))
		}
		payload = append(payload, tcp.Payload()...)
	}
	if !bytes.Equal(payload, octets) {
		t.Errorf("%s: %d octets in %d packets, want %d", what, len(payload), len(got), len(octets))
	}
	k.next += uint32(len(octets))
}

// What gVisor leaves to the link of its NIC to cut is cut as the link through
// which it leaves needs.
func TestOwnSegmentsElsewhere(t *testing.T) {
	for _, c := range []struct {
		offloads string
		mtuB     uint32
		large    bool
	}{
		{"a", 1500, false},
		{"ab", 1500, true},
		{"a", 1280, false},
		{"ab", 1280, true},
	} {
		name := fmt.Sprintf("offloads %q, MTU %d", c.offloads, c.mtuB)
		r := newRouter(t, 1500, c.mtuB, func(cfg *stack.Config) {
			withOffloads(c.offloads)(cfg)
			cfg.Clock = faketime.NewManualClock() // so that nothing is sent again
			// Sockets of link a's address have its NIC, whatever the way out.
			cfg.Routes = append(cfg.Routes, stack.Route{Prefix: netip.MustParsePrefix("2001:db8:e::/48"), Link: "b"})
		})
		k := startTalk(t, r, r.b, r.b, farHost, routerA.Addr())
		octets := wire.Payload(9000)
		got := k.write(t, octets)
		k.wantStream(t, name, got, octets, int(c.mtuB), c.large)
		if c.large && len(got) > 2 {
			t.Errorf("%s: %d packets", name, len(got))
		}
		r.wantSilence(name)
	}
}

// R47: what the path does not take is cut smaller, by the link or by us, and not
// into fragments.
func TestOwnSegmentsPathMTU(t *testing.T) {
	for _, forward := range []bool{false, true} {
		for _, offloads := range []string{"", "b"} {
			name := fmt.Sprintf("forward %v, offloads %q", forward, offloads)
			r := newRouter(t, 1500, 1500, func(cfg *stack.Config) {
				withOffloads(offloads)(cfg)
				cfg.Forward, cfg.Clock = forward, faketime.NewManualClock()
			})
			k := startTalk(t, r, r.b, r.b, farHost, routerB.Addr())
			octets := wire.Payload(6000)
			k.wantStream(t, name, k.write(t, octets), octets, 1500, offloads == "b")
			// Another packet of ours has been too big: TCP does not learn of it.
			conn := dialUDP(t, r, farHost)
			conn.Write(wire.Payload(1400))
			inject(r.b, tooBig(sent(t, r.b), 1300))
			for _, size := range []int{1, 1228, 1300, 2000} {
				got := k.write(t, octets[:size])
				if offloads == "b" {
					k.wantStream(t, name, got, octets[:size], 1300, true)
					continue
				}
				for _, d := range got {
					if len(d.octets) > 1300 {
						t.Errorf("%s: %d octets", name, len(d.octets))
					}
				}
			}
		}
	}
}
