package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
)

// Echo requests of a flight: as many are under way as were ever seen at once.
const (
	flightSize  = 65000
	flightWidth = 20
	flightCount = 100
)

// TestFlight keeps many of the largest echo requests under way at once, each in
// 45 fragments. None of them is lost. The tool ping cannot tell: its own socket
// has no room for so many replies.
func TestFlight(t *testing.T) {
	needRoot(t) // for a socket with room for the replies
	eachKind(t, func(t *testing.T, k kind) {
		n := startNode(t, nodeConfig{kind: k})
		fly(t, openICMP(t, ipv6.ICMPTypeEchoReply), stackAddr)
		n.checkClean(t, flightCount)
	})
}

// TestRouterFlight does so from a station to another one.
func TestRouterFlight(t *testing.T) {
	needRoot(t)
	for _, k := range []kind{plain, offload, queues} {
		t.Run(k.name, func(t *testing.T) {
			r := startRouter(t, nil, stationConfig{subnet: 0xa, mtu: 1500, kind: k}, stationConfig{subnet: 0xb, mtu: 1500, kind: k})
			a, b := r.stations[0], r.stations[1]
			var socket *icmp.PacketConn
			a.inside(t, func() { socket = openICMPAt(t, a.addr(), ipv6.ICMPTypeEchoReply) })
			fly(t, socket, b.addr())
			r.checkDrops(t, a, nil)
			r.checkDrops(t, b, nil)
		})
	}
}

// fly sends the requests of a flight to an address, a new one for each reply,
// until all were answered.
func fly(t *testing.T, socket *icmp.PacketConn, to netip.Addr) {
	t.Helper()
	const ident = 0x666c
	sent := 0
	send := func() {
		request := icmp.Message{Type: ipv6.ICMPTypeEchoRequest, Body: &icmp.Echo{ID: ident, Seq: sent, Data: numbered(uint32(sent), flightSize)}}
		sent++
		message, err := request.Marshal(nil)
		if err == nil {
			_, err = socket.WriteTo(message, &net.IPAddr{IP: to.AsSlice()})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for sent < flightWidth {
		send()
	}
	missing := make(map[int]bool)
	for sequence := range flightCount {
		missing[sequence] = true
	}
	socket.SetReadDeadline(deadline())
	for buffer := make([]byte, 1<<16); len(missing) > 0; {
		n, _, err := socket.ReadFrom(buffer)
		if err != nil {
			t.Fatalf("%d of %d requests unanswered: %v", len(missing), sent, err)
		}
		sequence, err := flown(buffer[:n], ident)
		if err != nil || !missing[sequence] {
			t.Fatalf("reply %d, once more or not as it should be: %v", sequence, err)
		}
		delete(missing, sequence)
		if sent < flightCount {
			send()
		}
	}
}

// flown returns the number of a reply, which must be the request's.
func flown(message []byte, ident int) (sequence int, err error) {
	reply, err := icmp.ParseMessage(ipv6.ICMPTypeEchoReply.Protocol(), message)
	if err != nil {
		return 0, err
	}
	body, ok := reply.Body.(*icmp.Echo)
	if !ok || body.ID != ident {
		return 0, fmt.Errorf("a message of type %v", reply.Type)
	}
	return body.Seq, same(body.Data, numbered(uint32(body.Seq), flightSize))
}
