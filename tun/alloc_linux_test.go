//go:build !race

package tun_test

import (
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// counter is a dispatcher that tells of each packet and keeps none.
type counter chan struct{}

func (c counter) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {
	c <- struct{}{}
}

func (c counter) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// Under the race detector, pools forget what they are given.
func TestNoAllocationPerPacket(t *testing.T) {
	device, far := pipe(t)
	arrived := make(counter)
	device.Endpoint().Attach(arrived)
	incoming := ip6(1500)
	if got := testing.AllocsPerRun(1000, func() {
		write(t, far, incoming)
		<-arrived
	}); got >= 1 {
		t.Errorf("%v allocations for a packet read", got)
	}

	outgoing := split(ip6(1500), 40, 8, 500)
	defer outgoing.DecRef()
	var list gstack.PacketBufferList
	list.PushBack(outgoing)
	sink := make([]byte, 2000)
	if got := testing.AllocsPerRun(1000, func() {
		if _, err := device.Endpoint().WritePackets(list); err != nil {
			t.Fatal(err)
		}
		unix.Read(far, sink)
	}); got >= 1 {
		t.Errorf("%v allocations for a packet written", got)
	}
}
