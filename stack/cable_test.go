package stack_test

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
)

// A cable is one end of a link in memory, with offloads or without. What is
// written to it the other end delivers, on a goroutine that ends when that is
// closed. Of what is written it checks that a link can carry it.
type cable struct {
	*channel.Endpoint
	gso   bool
	other *cable
	inbox chan *gstack.PacketBuffer
	stop  chan struct{}
	done  chan struct{}
	large atomic.Int64 // large segments written
	wrong atomic.Int64 // packets that no link takes
}

// newCable returns both ends, with an MTU each.
func newCable(mtu, otherMTU uint32, gso bool) (end, other *cable) {
	end, other = newEnd(mtu, gso), newEnd(otherMTU, gso)
	end.other, other.other = other, end
	return end, other
}

func newEnd(mtu uint32, gso bool) *cable {
	c := &cable{
		Endpoint: channel.New(1, mtu, ""),
		gso:      gso,
		inbox:    make(chan *gstack.PacketBuffer, 4096),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	go c.deliver()
	return c
}

// deliver hands up what comes until the end is closed.
func (c *cable) deliver() {
	defer close(c.done)
	for {
		select {
		case <-c.stop:
			return
		case pkt := <-c.inbox:
			c.InjectInbound(pkt.NetworkProtocolNumber, pkt)
			pkt.DecRef()
		}
	}
}

// Close implements gstack.LinkEndpoint.
func (c *cable) Close() {
	close(c.stop)
	<-c.done
}

// drain drops what nobody took. Both ends are closed.
func (c *cable) drain() {
	for len(c.inbox) > 0 {
		(<-c.inbox).DecRef()
	}
}

func (c *cable) SupportedGSO() gstack.SupportedGSO {
	if c.gso {
		return gstack.HostGSOSupported
	}
	return gstack.GSONotSupported
}

func (*cable) GSOMaxSize() uint32 { return 65535 }

func (c *cable) Capabilities() gstack.LinkEndpointCapabilities {
	if c.gso {
		return gstack.CapabilityRXChecksumOffload
	}
	return gstack.CapabilityNone
}

// WritePackets sends the packets to the other end, as many as there is room for.
func (c *cable) WritePackets(packets gstack.PacketBufferList) (int, tcpip.Error) {
	for i, pkt := range packets.AsSlice() {
		c.check(pkt)
		whole := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: pkt.ToBuffer()})
		whole.NetworkProtocolNumber, whole.GSOOptions = pkt.NetworkProtocolNumber, pkt.GSOOptions
		select {
		case c.other.inbox <- whole:
		default:
			whole.DecRef()
			return i, &tcpip.ErrNoBufferSpace{}
		}
	}
	return packets.Len(), nil
}

// check checks that the link can carry a packet: that it fits, and that what is
// left undone is the link's to do.
func (c *cable) check(pkt *gstack.PacketBuffer) {
	sizes := offload.SizesOf(pkt)
	whole := pkt.ToBuffer()
	defer whole.Release()
	job := offload.JobOf(pkt.GSOOptions, &whole)
	done := job == offload.Job{}
	if sizes.Count > 1 {
		c.large.Add(1)
	}
	if sizes.Largest > int(c.MTU()) || !done && !c.gso || pkt.Size() > 65535 {
		c.wrong.Add(1)
	}
	valid := true
	if err := job.Split(ptr(whole.Clone()), func(segment buffer.Buffer) {
		valid = valid && offload.Valid(&segment)
		segment.Release()
	}); err != nil || !valid {
		c.wrong.Add(1)
	}
}

func ptr[T any](v T) *T { return &v }
