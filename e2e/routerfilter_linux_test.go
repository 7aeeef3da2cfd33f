package e2e

import (
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
)

// mixed are payloads of a packet that is whole, of a few fragments and of many.
var mixed = []int{100, 4000, 65000}

// udpPort returns a rule about datagrams to a port.
func udpPort(port uint16, action filter.Action) filter.Rule {
	return filter.Rule{
		Protocol:         filter.UDP,
		DestinationPorts: []filter.PortRange{{First: port, Last: port}},
		Action:           action,
	}
}

// TestRouterDeny has a rule against one UDP port. No fragment of a datagram to
// it arrives; those to the port beside it do.
func TestRouterDeny(t *testing.T) {
	r, a, b := startPair(t, 1500, 1500, func(r *router) {
		r.config.Rules = []filter.Rule{udpPort(echoPort, filter.Deny)}
	})
	denied := a.dial(t, b.serve(t, echoPort))
	for _, size := range mixed {
		if _, err := denied.Write(wire.Payload(size)); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, a, b)
	a.wire.drain(t)
	if _, received := b.wire.drain(t); len(between(received, a.addr(), b.addr())) != 1 {
		t.Error("more than the datagram behind those has arrived")
	}
	beside := a.dial(t, b.serve(t, echoPort+1))
	for _, size := range mixed {
		if err := exchange(beside, wire.Payload(size)); err != nil {
			t.Fatal(err)
		}
	}
	checkPassed(t, a, b, 3+45)
	r.checkDrops(t, a, map[stack.DropReason]uint64{stack.Denied: uint64(len(mixed))})
	r.checkDrops(t, b, nil)
	if got := r.Stats().Filter.Rules[0].Packets; got != uint64(len(mixed)) {
		t.Errorf("the rule has matched %d packets: want %d", got, len(mixed))
	}
}

// TestRouterReject has a rule that tells the sender, whose kernel tells the
// socket.
func TestRouterReject(t *testing.T) {
	r, a, b := startPair(t, 1500, 1500, func(r *router) {
		r.config.Rules = []filter.Rule{udpPort(echoPort, filter.Reject)}
	})
	for _, size := range mixed {
		socket := a.dial(t, netip.AddrPortFrom(b.addr(), echoPort))
		if err := exchange(socket, wire.Payload(size)); !errors.Is(err, unix.EACCES) {
			t.Errorf("a rejected datagram of %d octets: %v, want %v", size, err, unix.EACCES)
		}
		sent, received := a.wire.drain(t)
		checkRouterErrors(t, a, received, icmpError{1, 1, 0, between(sent, a.addr(), b.addr())[0]})
	}
	if _, received := b.wire.drain(t); len(between(received, a.addr(), b.addr())) > 0 {
		t.Error("part of what was rejected has arrived")
	}
	r.checkDrops(t, a, map[stack.DropReason]uint64{stack.Rejected: uint64(len(mixed))})
}

// startCrossing starts a router between station a in zone red and station b in
// the default zone. Only a may open flows, to UDP and TCP ports 7 to 9.
func startCrossing(t *testing.T) (r *router, a, b *station) {
	t.Helper()
	r = startRouter(t, func(r *router) {
		a, b := r.stations[0], r.stations[1]
		r.config.Routes = []stack.Route{
			{Prefix: b.address.Masked(), Link: b.name, Zone: "red"},
			{Prefix: a.address.Masked(), Link: a.name, Zone: stack.DefaultZone},
		}
		for _, protocol := range []int{filter.UDP, filter.TCP} {
			r.config.Rules = append(r.config.Rules, filter.Rule{
				From:             filter.InZone("red"),
				To:               filter.InZone(stack.DefaultZone),
				Destination:      b.address.Masked(),
				Protocol:         protocol,
				DestinationPorts: []filter.PortRange{{First: 7, Last: 9}},
				Action:           filter.Allow,
			})
		}
	}, stationConfig{subnet: 0xa, mtu: 1500, zone: "red"}, stationConfig{subnet: 0xb, mtu: 1280})
	return r, r.stations[0], r.stations[1]
}

// TestRouterCrossing goes from zone to zone. What a flow owes comes back, an
// ICMPv6 error of the far host included; nothing else does.
func TestRouterCrossing(t *testing.T) {
	r, a, b := startCrossing(t)
	learnPath(t, a, b)
	service := b.serve(t, echoPort)
	a.serve(t, echoPort)
	for _, size := range mixed {
		if err := exchange(a.dial(t, service), wire.Payload(size)); err != nil {
			t.Fatal(err)
		}
	}
	closed := a.dial(t, netip.AddrPortFrom(b.addr(), 9))
	if err := exchange(closed, wire.Payload(4000)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a datagram to a closed port: %v, want %v", err, syscall.ECONNREFUSED)
	}
	a.inside(t, func() {
		if err := echoStreamAt(within(t), service, 1<<18); err != nil {
			t.Error(err)
		}
	})
	checkPassed(t, a, b, 0)

	// The other way round there is no rule.
	for _, size := range mixed {
		if _, err := b.dial(t, netip.AddrPortFrom(a.addr(), echoPort)).Write(wire.Payload(size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := exchange(a.dial(t, service), wire.Payload(100)); err != nil {
		t.Fatal(err)
	}
	_, received := a.wire.drain(t)
	if got := countOf(between(received, b.addr(), a.addr()), wire.FragmentHeader); got > 0 {
		t.Errorf("%d fragments came from where nothing may begin", got)
	}
	r.checkDrops(t, b, map[stack.DropReason]uint64{stack.Denied: uint64(len(mixed))})
}

// startTwins starts a router between stations a and b in zone red, and two of
// the same addresses in zone blue.
func startTwins(t *testing.T) [2][2]*station {
	t.Helper()
	var configs []stationConfig
	for _, zone := range []string{"red", "blue"} {
		for _, subnet := range []int{0xa, 0xb} {
			configs = append(configs, stationConfig{subnet: subnet, mtu: 1500, zone: zone})
		}
	}
	s := startRouter(t, nil, configs...).stations
	return [2][2]*station{{s[0], s[1]}, {s[2], s[3]}}
}

// TestRouterTwins sends fragments through two zones of identical addresses
// that would make datagrams together: the same ports, identification and
// offsets. Each zone is sent first what the other one lacks.
func TestRouterTwins(t *testing.T) {
	const id, size = 7, 64
	const red, blue = 0, 1
	zones := startTwins(t)
	var payloads [2][]byte
	var fragments [2][][]byte
	var sockets [2]host
	for i, zone := range zones {
		a, b := zone[0], zone[1]
		b.inside(t, func() { sockets[i] = openHostAt(t, netip.AddrPortFrom(b.addr(), 7000)) })
		payloads[i] = numbered(uint32(i), 3*size-8)
		fragments[i] = a.to(b).Split(id, wire.UDPProtocol, a.to(b).UDP(9, 7000, payloads[i]), size)
	}
	for _, step := range []struct{ zone, fragment int }{{red, 0}, {blue, 1}, {blue, 2}, {red, 2}, {red, 1}, {blue, 0}} {
		zones[step.zone][0].tap.send(t, fragments[step.zone][step.fragment])
	}
	for i, zone := range zones {
		sockets[i].receive(t, payloads[i])
		_, received := zone[1].wire.drain(t)
		checkSamePackets(t, zone[0], zone[1], fragments[i], between(received, zone[0].addr(), zone[1].addr()))
	}
}

// TestRouterTwinsPing pings in both zones at once.
func TestRouterTwinsPing(t *testing.T) {
	needTool(t, "ping")
	zones := startTwins(t)
	var pings sync.WaitGroup
	for _, zone := range zones {
		pings.Go(func() {
			zone[0].inside(t, func() { pingAt(t, zone[1].addr(), 10, 8000, "-A") })
		})
	}
	pings.Wait()
	for _, zone := range zones {
		settle(t, zone[0], zone[1])
		checkPassed(t, zone[0], zone[1], 10*6)
	}
}
