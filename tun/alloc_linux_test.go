//go:build !race

package tun_test

import (
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/tun"
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

// Nor does what is left undone in packets cost any, in either direction.
func TestNoAllocationForOffloads(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	arrived := make(counter)
	device.Endpoint().Attach(arrived)
	large, datagrams, segment := tcpOf(60000).unfinished(), udpOf(2800).unfinished(), tcpOf(1400)
	for name, in := range map[string]struct {
		octets []byte
		count  int
	}{
		"a verified packet": {ahead{}.before(segment.packet()), 1},
		"a valid packet":    {ahead{flags: dataValid}.before(segment.packet()), 1},
		"a large segment":   {large.uncut(1400).before(large.packet()), 1},
		"two datagrams":     {datagrams.uncut(1400).before(datagrams.packet()), 2},
	} {
		if got := testing.AllocsPerRun(1000, func() {
			write(t, far[0], in.octets)
			for range in.count {
				<-arrived
			}
		}); got >= 1 {
			t.Errorf("%v allocations for %s read", got, name)
		}
	}
	for name, features := range map[string]tun.Features{"whole": everything, "in software": {}} {
		device, far := overheaded(t, features, 1)
		for what, out := range map[string]struct {
			pkts  []*gstack.PacketBuffer
			count int // that go out, unless whole
		}{
			"a large segment": {[]*gstack.PacketBuffer{large.uncutPacket(1400, 40, 32)}, 43},
			"a train":         {plainPackets(tcpOf(14000).pieces(1400)...), 10},
		} {
			if features == everything {
				out.count = 1
			}
			var list gstack.PacketBufferList
			for _, pkt := range out.pkts {
				list.PushBack(pkt)
			}
			sink := make([]byte, 70000)
			if got := testing.AllocsPerRun(300, func() {
				if _, err := device.Endpoint().WritePackets(list); err != nil {
					t.Fatal(err)
				}
				for range out.count {
					unix.Read(far[0], sink)
				}
			}); got >= 1 {
				t.Errorf("%v allocations for %s written, %s", got, what, name)
			}
			list.DecRef()
		}
	}
}
