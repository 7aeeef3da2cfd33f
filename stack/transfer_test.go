package stack_test

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"sync/atomic"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
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
			hostEndA, endA := newCable(1500, 1500, c.gsoA)
			hostEndB, endB := newCable(1500, c.mtuB, c.gsoB)
			t.Cleanup(func() {
				for _, end := range []*cable{hostEndA, endA, hostEndB, endB} {
					end.drain()
				}
			})
			cfg := stack.Config{Forward: true, Links: []stack.LinkConfig{
				{Name: "a", Endpoint: endA, Addresses: []netip.Prefix{routerA}},
				{Name: "b", Endpoint: endB, Addresses: []netip.Prefix{routerB}},
			}}
			if c.rules {
				cfg.Rules = []filter.Rule{{Protocol: filter.TCP, DestinationPorts: []filter.PortRange{{First: 7, Last: 7}}, Action: filter.Allow}, {From: filter.OnLink("b"), Action: filter.Deny}}
			}
			router := newStack(t, cfg)
			host := func(end *cable, address, router netip.Prefix) *stack.Stack {
				return newStack(t, stack.Config{
					Links:  []stack.LinkConfig{{Name: "wire", Endpoint: end, Addresses: []netip.Prefix{netip.PrefixFrom(address.Addr(), 64)}}},
					Routes: []stack.Route{{Prefix: netip.MustParsePrefix("::/0"), Link: "wire", Gateway: router.Addr()}},
				})
			}
			a := host(hostEndA, netip.PrefixFrom(hostA, 64), routerA)
			b := host(hostEndB, netip.PrefixFrom(hostB, 64), routerB)
			echoTCP(t, b, "tcp", ":7")
			conn := dial(t, a, "tcp", fmt.Sprintf("[%s]:7", hostB))
			message := pattern(2 << 20)
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
			// Then nothing is on its way any more.
			if err := router.Close(); err != nil {
				t.Error(err)
			}
			for name, end := range map[string]*cable{"a": endA, "b": endB, "host a": hostEndA, "host b": hostEndB} {
				if n := end.wrong.Load(); n != 0 {
					t.Errorf("%s: %d packets that the link cannot carry", name, n)
				}
				if large := end.large.Load() > 0; large && !end.gso {
					t.Errorf("%s: large segments without offloads", name)
				}
			}
			if c.gsoA && c.gsoB && (endA.large.Load() == 0 || endB.large.Load() == 0) {
				t.Error("no large segment left whole")
			}
			links := router.Stats().Links
			if from, to := links[0].ForwardedFrom, links[1].ForwardedTo; from != to || from.Octets < uint64(len(message)) || from.Octets/from.Packets > 1500 {
				t.Errorf("forwarded %+v, %+v", from, to)
			}
			if n := links[0].Drops[stack.PacketTooBig]; (n > 0) != (c.mtuB < 1500) {
				t.Errorf("MTU %d: %d packets too big", c.mtuB, n)
			}
		})
	}
}
