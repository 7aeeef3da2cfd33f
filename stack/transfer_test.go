package stack_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
)

// A journey is two hosts, a and b, and a router between them.
type journey struct {
	hostEndA, endA, endB, hostEndB *cable
	a, b, router                   *stack.Stack
}

// newJourney returns one whose router has an MTU of its own on link b, with
// rules that let b answer at port 7 only.
func newJourney(t *testing.T, gsoA, gsoB bool, mtuB uint32, rules bool) *journey {
	t.Helper()
	j := new(journey)
	j.hostEndA, j.endA = newCable(1500, 1500, gsoA)
	j.hostEndB, j.endB = newCable(1500, mtuB, gsoB)
	t.Cleanup(func() {
		for _, end := range j.ends() {
			end.drain()
		}
	})
	cfg := stack.Config{Forward: true, Links: []stack.LinkConfig{
		{Name: "a", Endpoint: j.endA, Addresses: []netip.Prefix{routerA}},
		{Name: "b", Endpoint: j.endB, Addresses: []netip.Prefix{routerB}},
	}}
	if rules {
		port := []filter.PortRange{{First: 7, Last: 7}}
		cfg.Rules = []filter.Rule{
			{Protocol: filter.TCP, DestinationPorts: port, Action: filter.Allow},
			{From: filter.OnLink("b"), Action: filter.Deny},
		}
	}
	j.router = newStack(t, cfg)
	j.a = newHost(t, j.hostEndA, hostA, routerA.Addr())
	j.b = newHost(t, j.hostEndB, hostB, routerB.Addr())
	return j
}

// newHost returns a stack that reaches everything through a gateway.
func newHost(t *testing.T, end *cable, address, gateway netip.Addr) *stack.Stack {
	t.Helper()
	return newStack(t, stack.Config{
		Links:  []stack.LinkConfig{{Name: "wire", Endpoint: end, Addresses: []netip.Prefix{netip.PrefixFrom(address, 64)}}},
		Routes: []stack.Route{{Prefix: netip.MustParsePrefix("::/0"), Link: "wire", Gateway: gateway}},
	})
}

func (j *journey) ends() map[string]*cable {
	return map[string]*cable{"host a": j.hostEndA, "a": j.endA, "b": j.endB, "host b": j.hostEndB}
}

// exchange writes message and checks that it comes back.
func exchange(t *testing.T, conn net.Conn, message []byte) {
	t.Helper()
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(message)
		written <- err
	}()
	got := make([]byte, len(message))
	if _, err := io.ReadFull(conn, got); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, message) {
		t.Error("what came back differs")
	}
}

// wantCarried checks that no link got what it cannot carry.
func (j *journey) wantCarried(t *testing.T) {
	t.Helper()
	for name, end := range j.ends() {
		if n := end.wrong.Load(); n != 0 {
			t.Errorf("%s: %d packets that the link cannot carry", name, n)
		}
		if n := end.large.Load(); n > 0 && !end.gso {
			t.Errorf("%s: %d large segments without offloads", name, n)
		}
	}
	if j.endA.gso && j.endB.gso && (j.endA.large.Load() == 0 || j.endB.large.Load() == 0) {
		t.Error("no large segment left whole")
	}
}

// TCP between two stacks, through a router between them: octets arrive as they
// were sent, large segments stay large where both links take them, and each link
// gets what it can carry.
func TestTransfer(t *testing.T) {
	for _, c := range []struct {
		name       string
		gsoA, gsoB bool
		mtuB       uint32 // of the router's end; that of the host is 1500
		rules      bool
	}{
		{"large to large", true, true, 1500, false},
		{"large to small", true, false, 1500, true},
		{"small to large", false, true, 1500, false},
		{"large to large, smaller MTU", true, true, 1280, true},
		{"large to small, smaller MTU", true, false, 1300, false},
		{"small to small, smaller MTU", false, false, 1280, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := newJourney(t, c.gsoA, c.gsoB, c.mtuB, c.rules)
			echoTCP(t, j.b, "tcp", ":7")
			message := pattern(2 << 20)
			exchange(t, dial(t, j.a, "tcp", fmt.Sprintf("[%s]:7", hostB)), message)
			// Then nothing is on its way any more.
			if err := j.router.Close(); err != nil {
				t.Error(err)
			}
			j.wantCarried(t)
			links := j.router.Stats().Links
			if from, to := links[0].ForwardedFrom, links[1].ForwardedTo; from != to || from.Octets < uint64(len(message)) || from.Octets/from.Packets > 1500 {
				t.Errorf("forwarded %+v, %+v", from, to)
			}
			if n := links[0].Drops[stack.PacketTooBig]; (n > 0) != (c.mtuB < 1500) {
				t.Errorf("MTU %d: %d packets too big", c.mtuB, n)
			}
		})
	}
}
