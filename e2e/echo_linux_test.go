package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"

	"github.com/v6stack/v6stack/internal/wire"
)

var mtus = []int{1280, 1500, 9000}

// eachLink runs test as a subtest for each kind of device and MTU.
func eachLink(t *testing.T, test func(t *testing.T, cfg nodeConfig)) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, mtu := range mtus {
			t.Run(fmt.Sprintf("mtu=%d", mtu), func(t *testing.T) { test(t, nodeConfig{kind: k, mtu: mtu}) })
		}
	})
}

// sizes returns payloads around the point where one packet of mtu octets no
// longer holds them behind headers of 8 octets, and others up to 65,000.
func sizes(mtu int) []int {
	full := mtu - 40 - 8
	return []int{0, 1, 56, 1000, full, full + 1, 2*(mtu-48) - 8, 8000, 20000, 65000}
}

// fragmented returns how many of those need fragments.
func fragmented(mtu int) int {
	count := 0
	for _, size := range sizes(mtu) {
		if size > mtu-48 {
			count++
		}
	}
	return count
}

// TestEcho sends ICMPv6 echo requests from a socket.
func TestEcho(t *testing.T) {
	eachLink(t, func(t *testing.T, cfg nodeConfig) {
		n := startNode(t, cfg)
		socket := openICMP(t, ipv6.ICMPTypeEchoReply)
		for sequence, size := range sizes(cfg.mtu) {
			persist(t, fmt.Sprintf("echo of %d octets", size), func(deadline time.Time) error {
				return echo(socket, sequence, wire.Payload(size), deadline)
			})
		}
		n.checkClean(t, fragmented(cfg.mtu))
	})
}

// openICMP opens a socket of the host's for ICMPv6 messages of one type.
func openICMP(t *testing.T, kind ipv6.ICMPType) *icmp.PacketConn {
	t.Helper()
	return openICMPAt(t, hostAddr, kind)
}

// openICMPAt does so at another address.
func openICMPAt(t *testing.T, address netip.Addr, kind ipv6.ICMPType) *icmp.PacketConn {
	t.Helper()
	socket, err := icmp.ListenPacket("ip6:ipv6-icmp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(kind)
	if err := socket.IPv6PacketConn().SetICMPFilter(&filter); err != nil {
		t.Fatal(err)
	}
	// What icmp opens are net's own connections.
	raw, err := socket.IPv6PacketConn().PacketConn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { growBuffer(int(fd)) })
	return socket
}

// echo sends one request and waits for its reply.
func echo(socket *icmp.PacketConn, sequence int, data []byte, deadline time.Time) error {
	const ident = 0x7636
	request := icmp.Message{
		Type: ipv6.ICMPTypeEchoRequest,
		Body: &icmp.Echo{ID: ident, Seq: sequence, Data: data},
	}
	message, err := request.Marshal(nil)
	if err != nil {
		return err
	}
	if _, err := socket.WriteTo(message, &net.IPAddr{IP: stackAddr.AsSlice()}); err != nil {
		return err
	}
	socket.SetReadDeadline(deadline)
	buffer := make([]byte, 1<<16)
	for {
		n, _, err := socket.ReadFrom(buffer)
		if err != nil {
			return err
		}
		reply, err := icmp.ParseMessage(ipv6.ICMPTypeEchoReply.Protocol(), buffer[:n])
		if err != nil {
			return err
		}
		if body, ok := reply.Body.(*icmp.Echo); ok && body.ID == ident && body.Seq == sequence {
			return same(body.Data, data)
		}
	}
}
