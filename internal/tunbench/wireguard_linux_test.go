package tunbench

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	wgtun "golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// wireguardRoom is what its Write wants in front of each packet.
	wireguardRoom = 16
	// wireguardBuffer holds what Write coalesces.
	wireguardBuffer = wireguardRoom + 1<<16
)

// openWireguard opens wireguard's device, with a loop each way between it and
// a channel endpoint. Both take as many packets at once as there are.
func openWireguard(b *testing.B) gstack.LinkEndpoint {
	b.Helper()
	d, err := wgtun.CreateTUN(interfaceName, mtu)
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
	loops.Go(func() {
		for range d.Events() {
		}
	})
	setHost(b)
	loops.Go(func() { readWireguard(d, endpoint) })
	loops.Go(func() { writeWireguard(ctx, d, endpoint) })
	return endpoint
}

// readWireguard takes packets up until d is closed. It reads them into views
// that go up without copying.
func readWireguard(d wgtun.Device, endpoint *channel.Endpoint) {
	views := make([]*buffer.View, d.BatchSize())
	packets, sizes := make([][]byte, len(views)), make([]int, len(views))
	renew := func(i int) {
		views[i] = buffer.NewViewSize(mtu)
		packets[i] = views[i].AsSlice()
	}
	for i := range views {
		renew(i)
	}
	for {
		n, err := d.Read(packets, sizes, 0)
		for i := range n {
			views[i].CapLength(sizes[i])
			inject(endpoint, views[i])
			renew(i)
		}
		if err != nil && !errors.Is(err, wgtun.ErrTooManySegments) {
			for _, view := range views {
				view.Release()
			}
			return
		}
	}
}

// writeWireguard takes packets down until ctx ends.
func writeWireguard(ctx context.Context, d wgtun.Device, endpoint *channel.Endpoint) {
	room := make([][]byte, d.BatchSize())
	for i := range room {
		room[i] = make([]byte, 0, wireguardBuffer)
	}
	packets := make([][]byte, 0, len(room))
	for {
		pkt := endpoint.ReadContext(ctx)
		if pkt == nil {
			return
		}
		for packets = packets[:0]; pkt != nil; pkt = endpoint.Read() {
			packet := room[len(packets)][:wireguardRoom]
			for _, octets := range pkt.AsSlices() {
				packet = append(packet, octets...)
			}
			pkt.DecRef()
			if packets = append(packets, packet); len(packets) == len(room) {
				break
			}
		}
		// What is refused is lost, as on any link.
		if _, err := d.Write(packets, wireguardRoom); errors.Is(err, os.ErrClosed) {
			return
		}
	}
}
