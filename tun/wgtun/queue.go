package wgtun

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"

	wgdevice "golang.zx2c4.com/wireguard/tun"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/tun"
)

var _ tun.Queue = (*queue)(nil)

// room is how many octets a device may write ahead of a packet.
const room = 16

// longest is the length of the longest packet, in octets.
const longest = tun.MaxMTU

// queue is a device of wireguard's as one of package tun reads and writes it.
type queue struct {
	device  wgdevice.Device
	close   func() error // the device, once
	stopped atomic.Bool
	events  sync.WaitGroup
	inbound inbound // the reader's

	// mu lets one writer in at a time.
	mu sync.Mutex
	// closed says that nothing is written any more. mu guards it.
	closed bool
	// outbound is what is being written. mu guards it.
	outbound outbound
}

func newQueue(device wgdevice.Device) *queue {
	q := &queue{device: device, close: closer(device)}
	q.outbound.init(device)
	return q
}

// follow has the MTU of endpoint follow that of the device, in a goroutine that
// ends when the device is closed.
func (q *queue) follow(endpoint gstack.LinkEndpoint) {
	events := q.device.Events()
	if events == nil {
		return
	}
	q.events.Go(func() {
		for event := range events {
			if event&wgdevice.EventMTUUpdate == 0 {
				continue
			}
			if mtu, err := q.device.MTU(); err == nil && isMTU(mtu) {
				endpoint.SetMTU(uint32(mtu))
			}
		}
	})
}

// Read implements tun.Queue. A batch is what the device reads at once: on Linux
// the segments of one packet of the kernel's.
func (q *queue) Read(deliver func(*gstack.PacketBuffer)) error {
	if q.stopped.Load() {
		return os.ErrClosed
	}
	err := q.inbound.read(q.device, deliver)
	switch {
	case q.stopped.Load():
		return os.ErrClosed
	case errors.Is(err, wgdevice.ErrTooManySegments):
		return nil
	}
	return err
}

// Write implements tun.Queue. Devices differ in what they say of a batch that
// failed, so that all of it counts as refused.
func (q *queue) Write(pkts []*gstack.PacketBuffer) (written int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0, os.ErrClosed
	}
	return q.outbound.write(pkts)
}

// Stop implements tun.Queue. Closing is all that ends a read.
func (q *queue) Stop() {
	q.stopped.Store(true)
	_ = q.close() // Close returns it.
}

// Close implements tun.Queue.
func (q *queue) Close() error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.events.Wait()
	return q.close()
}
