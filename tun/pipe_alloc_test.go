//go:build !race

package tun_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/tun"
)

// pipeTicks is a dispatcher that tells of each packet and keeps none.
type pipeTicks chan struct{}

func (c pipeTicks) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {
	c <- struct{}{}
}

func (c pipeTicks) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// Under the race detector, pools forget what they are given.
func TestPipeAllocatesNothing(t *testing.T) {
	for _, test := range []struct {
		name    string
		cfg     tun.PipeConfig
		octets  []byte
		gso     gstack.GSO
		packets int
	}{
		{"a datagram", tun.PipeConfig{}, pipeDatagram(pipeOctets(1400)), gstack.GSO{}, 1},
		{"a large segment", tun.PipeConfig{}, pipeSegment(pipeOctets(60000), true), pipeLarge(1440), 1},
		{"a large segment, cut", tun.PipeConfig{NoOffload: true}, pipeSegment(pipeOctets(14400), true), pipeLarge(1440), 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := newPipe(t, test.cfg)
			arrived := make(pipeTicks)
			b.Endpoint().Attach(arrived)
			pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithData(test.octets)})
			defer pkt.DecRef()
			pkt.GSOOptions = test.gso
			var list gstack.PacketBufferList
			list.PushBack(pkt)
			if got := testing.AllocsPerRun(1000, func() {
				if _, err := a.Endpoint().WritePackets(list); err != nil {
					t.Fatal(err)
				}
				for range test.packets {
					<-arrived
				}
			}); got >= 1 {
				t.Errorf("%v allocations, want none", got)
			}
		})
	}
}
