package tunbench

import (
	"context"
	"sync"
	"testing"

	"github.com/songgao/water"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// queueLength is how many packets a channel endpoint holds. It drops those
// beyond, so there is room for all that a TCP connection may have under way.
const queueLength = 4096

// openWater opens a device of module water, with the usual two loops between
// it and a channel endpoint.
func openWater(b *testing.B) gstack.LinkEndpoint {
	b.Helper()
	cfg := water.Config{DeviceType: water.TUN}
	cfg.Name = interfaceName
	d, err := water.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	endpoint := channel.New(queueLength, mtu, "")
	ctx, cancel := context.WithCancel(b.Context())
	var loops sync.WaitGroup
	b.Cleanup(func() {
		cancel()
		d.Close()
		loops.Wait()
		endpoint.Close()
	})
	setHost(b)
	loops.Go(func() { readWater(d, endpoint) })
	loops.Go(func() { writeWater(ctx, d, endpoint) })
	return endpoint
}

// readWater takes packets up until d is closed.
func readWater(d *water.Interface, endpoint *channel.Endpoint) {
	packet := make([]byte, mtu)
	for {
		n, err := d.Read(packet)
		if err != nil {
			return
		}
		inject(endpoint, buffer.NewViewWithData(packet[:n]))
	}
}

// inject delivers a packet of IPv6. It takes packet over.
func inject(endpoint *channel.Endpoint, packet *buffer.View) {
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithView(packet)})
	endpoint.InjectInbound(ipv6.ProtocolNumber, pkt)
	pkt.DecRef()
}

// writeWater takes packets down until ctx ends.
func writeWater(ctx context.Context, d *water.Interface, endpoint *channel.Endpoint) {
	for {
		pkt := endpoint.ReadContext(ctx)
		if pkt == nil {
			return
		}
		packet := pkt.ToView()
		pkt.DecRef()
		d.Write(packet.AsSlice()) // What is refused is lost, as on any link.
		packet.Release()
	}
}
