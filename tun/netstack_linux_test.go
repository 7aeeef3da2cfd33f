package tun_test

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
)

var (
	stackAddress = tcpip.AddrFrom16Slice([]byte("\xfd\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"))
	hostAddress  = tcpip.AddrFrom16Slice([]byte("\xfd\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"))
)

const nic = 1

// attachStack returns a gVisor stack whose only NIC is over endpoint.
func attachStack(t *testing.T, endpoint gstack.LinkEndpoint) *gstack.Stack {
	t.Helper()
	s := gstack.New(gstack.Options{
		NetworkProtocols:   []gstack.NetworkProtocolFactory{ipv6.NewProtocol},
		TransportProtocols: []gstack.TransportProtocolFactory{icmp.NewProtocol6},
	})
	if err := s.CreateNIC(nic, endpoint); err != nil {
		t.Fatal(err)
	}
	address := tcpip.ProtocolAddress{
		Protocol:          ipv6.ProtocolNumber,
		AddressWithPrefix: stackAddress.WithPrefix(),
	}
	if err := s.AddProtocolAddress(nic, address, gstack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv6EmptySubnet, NIC: nic}})
	return s
}

// echoRequest returns an ICMPv6 echo request from the host to the stack.
func echoRequest(payload []byte) []byte {
	length := header.ICMPv6EchoMinimumSize + len(payload)
	octets := make([]byte, header.IPv6MinimumSize+length)
	header.IPv6(octets).Encode(&header.IPv6Fields{
		PayloadLength:     uint16(length),
		TransportProtocol: header.ICMPv6ProtocolNumber,
		HopLimit:          64,
		SrcAddr:           hostAddress,
		DstAddr:           stackAddress,
	})
	message := header.ICMPv6(octets[header.IPv6MinimumSize:])
	message.SetType(header.ICMPv6EchoRequest)
	copy(message.Payload(), payload)
	message.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
		Header: message, Src: hostAddress, Dst: stackAddress,
	}))
	return octets
}

// A delivery takes the stack's lock, under which the stack detaches the
// endpoint, and waits for it in the end.
func TestNetstackEndsUnderTraffic(t *testing.T) {
	device, far := pipe(t)
	request := echoRequest(pattern(1000))
	stop := make(chan struct{})
	var workers sync.WaitGroup
	workers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				unix.SendmsgN(far, request, nil, nil, unix.MSG_DONTWAIT)
			}
		}
	})
	for round := range 300 {
		s := attachStack(t, device.Endpoint())
		awaitReply(t, far)
		if round%2 == 0 {
			if err := s.RemoveNIC(nic); err != nil {
				t.Fatal(err)
			}
		}
		s.Destroy()
	}
	close(stop)
	workers.Wait()
}

// awaitReply waits for an echo reply.
func awaitReply(t *testing.T, fd int) {
	t.Helper()
	packet := make([]byte, 2000)
	for {
		n, err := unix.Read(fd, packet)
		if err != nil {
			t.Fatal(err)
		}
		if n > header.IPv6MinimumSize && header.ICMPv6(packet[header.IPv6MinimumSize:n]).Type() == header.ICMPv6EchoReply {
			return
		}
	}
}
