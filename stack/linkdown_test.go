package stack_test

import (
	"bytes"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// A faulty link takes so many packets of each batch and then has an error.
type faulty struct {
	*channel.Endpoint
	takes int
	err   tcpip.Error // nil: takes all
}

func (f *faulty) WritePackets(packets gstack.PacketBufferList) (int, tcpip.Error) {
	if f.err == nil {
		return f.Endpoint.WritePackets(packets)
	}
	return min(f.takes, packets.Len()), f.err
}

// Whatever error a link has, the packets it did not take are counted, and
// sockets and forwarding get over it; the logger hears once of a link that is
// down, and once that it is up.
func TestLinkErrors(t *testing.T) {
	var log strings.Builder
	down := &faulty{Endpoint: channel.New(64, 1500, "")}
	r := newRouter(t, 1500, 1500, func(cfg *stack.Config) {
		cfg.Links[1].Endpoint = down
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	r.b = down.Endpoint
	h := wire.Header{Source: hostA, Destination: hostB}
	fragments := h.Split(1, wire.UDPProtocol, h.UDP(9, 7, wire.Payload(4000)), 1024)
	conn := dialUDP(t, r, hostB)
	var full, dead uint64
	for _, err := range []tcpip.Error{
		&tcpip.ErrNoBufferSpace{}, &tcpip.ErrWouldBlock{}, &tcpip.ErrClosedForSend{}, &tcpip.ErrAborted{},
		&tcpip.ErrInvalidEndpointState{}, &tcpip.ErrHostUnreachable{}, &tcpip.ErrNotPermitted{}, &tcpip.ErrUnknownDevice{},
	} {
		down.err = err
		down.takes = 0
		inject(r.a, packetFrom(hostA.String(), hostB.String()))
		down.takes = 1
		inject(r.a, fragments...)
		switch err.(type) {
		case *tcpip.ErrNoBufferSpace, *tcpip.ErrWouldBlock:
			full += 1 + 3
		default:
			dead += 1 + 3
		}
		if link := r.link("a"); link.Drops[stack.NoBufferSpace] != full || link.Drops[stack.LinkDown] != dead {
			t.Errorf("%v: %d, %d drops; want %d, %d", err, link.Drops[stack.NoBufferSpace], link.Drops[stack.LinkDown], full, dead)
		}
		if r.link("b").Down != (dead > 0) {
			t.Errorf("%v: down is %v", err, !(dead > 0))
		}
		conn.Write([]byte("x"))
	}
	if from, to := r.link("a").ForwardedFrom, r.link("b").ForwardedTo; from.Packets != 8 || from.Octets != 8*(1024+48) || from != to {
		t.Errorf("forwarded %+v, %+v", from, to)
	}
	down.err = nil
	packet := packetFrom(hostA.String(), hostB.String())
	inject(r.a, packet)
	if got := sent(t, r.b); !bytes.Equal(got, next(packet)) {
		t.Error("nothing is forwarded to the link that is up again")
	}
	if r.link("b").Down {
		t.Error("the link is still down")
	}
	for _, message := range []string{`"link down" link=b`, `"link up" link=b`} {
		if n := strings.Count(log.String(), message); n != 1 {
			t.Errorf("%s: logged %d times\n%s", message, n, log.String())
		}
	}
}

// A link that needs address resolution is not routed between.
func TestEthernetRefused(t *testing.T) {
	lower := channel.New(64, 1500, "\x02\x00\x00\x00\x00\x01")
	cfg := stack.Config{Links: []stack.LinkConfig{{Name: "lan", Endpoint: ethernet.New(lower)}}}
	cfg.Forward = true
	s, err := stack.New(cfg)
	if err == nil {
		s.Close()
		t.Fatal("accepted")
	}
	for _, word := range []string{`link "lan"`, "address resolution", "Ethernet", "Forward"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

// Packets flow both ways, to us and through us, while the router closes.
func TestCloseRouterUnderTraffic(t *testing.T) {
	for range 10 {
		a, b := newSink(), newSink()
		s, err := stack.New(stack.Config{
			Forward: true,
			Links: []stack.LinkConfig{
				{Name: "a", Endpoint: a, Addresses: []netip.Prefix{routerA}},
				{Name: "b", Endpoint: b, Addresses: []netip.Prefix{routerB}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		busy := newTraffic(a, b)
		busy.wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		busy.stop()
		stats := s.Stats()
		forwarded := stats.Links[0].ForwardedFrom.Packets + stats.Links[1].ForwardedFrom.Packets
		if stats.Defrag.Queues != 0 || forwarded == 0 {
			t.Errorf("%d queues left, %d packets forwarded", stats.Defrag.Queues, forwarded)
		}
	}
}

// A traffic sends packets of every kind from two links until it is stopped.
type traffic struct {
	end   atomic.Bool
	round [2]atomic.Int64 // by link
	done  sync.WaitGroup
}

// newTraffic starts the goroutines, which stop ends.
func newTraffic(a, b *sink) *traffic {
	out := wire.Header{Source: hostA, Destination: hostB}
	back := wire.Header{Source: hostB, Destination: hostA}
	self := wire.Header{Source: hostA, Destination: routerB.Addr()}
	message := wire.Payload(3000)
	t := new(traffic)
	for i, packets := range [][][]byte{
		append(append(out.Split(1, wire.UDPProtocol, out.UDP(9, 7, message), 1024),
			self.Split(2, wire.ICMPv6, self.Echo(1, 1, message), 1024)...),
			packetFrom(hostA.String(), "2001:db8:99::1"),
			out.Split(3, wire.UDPProtocol, message, 1024)[0]),
		append(back.Split(1, wire.UDPProtocol, back.UDP(9, 7, message), 1024),
			back.Packet(wire.UDPProtocol, back.UDP(9, 7, nil))),
	} {
		t.done.Add(1)
		go func() {
			defer t.done.Done()
			for !t.end.Load() {
				inject([]*sink{a, b}[i].Endpoint, packets...)
				t.round[i].Add(1)
			}
		}()
	}
	return t
}

// wait returns when packets have come from both links since it was called.
func (t *traffic) wait() {
	for i := range t.round {
		for start := t.round[i].Load(); t.round[i].Load() < start+2; {
			runtime.Gosched()
		}
	}
}

func (t *traffic) stop() {
	t.end.Store(true)
	t.done.Wait()
}
