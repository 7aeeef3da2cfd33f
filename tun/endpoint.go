package tun

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

var _ gstack.LinkEndpoint = (*endpoint)(nil)

// endpoint is a device as gVisor sees it. One goroutine reads from the queue
// from the first attachment until shutdown; attachments only change to whom
// it delivers, so that detaching never waits for it.
type endpoint struct {
	queue    queue
	counters counters
	mtu      atomic.Uint32
	stopping chan struct{} // closed by shutdown
	done     chan struct{} // closed when the reader has ended

	// mu is held for moments only, never while a packet is delivered.
	mu sync.Mutex
	// changed is told of each change to the fields below. It uses mu.
	changed sync.Cond
	// dispatcher is who is attached, or nil. mu guards it.
	dispatcher gstack.NetworkDispatcher
	// delivering says that a delivery is under way, and deliveries how many
	// there have been, it included. mu guards both.
	delivering bool
	deliveries uint64
	// reading says that the reader was started. mu guards it.
	reading bool
	// closed says that shutdown has begun. mu guards it.
	closed bool
}

func newEndpoint(q queue, mtu int) *endpoint {
	e := &endpoint{queue: q, stopping: make(chan struct{}), done: make(chan struct{})}
	e.mtu.Store(uint32(mtu))
	e.changed.L = &e.mu
	return e
}

// Attach implements gstack.LinkEndpoint. A dispatcher that is attached already
// stays until it is detached; after the end of the device nothing is attached.
func (e *endpoint) Attach(dispatcher gstack.NetworkDispatcher) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case dispatcher == nil:
		e.detachLocked()
	case e.dispatcher == nil && !e.closed:
		e.dispatcher = dispatcher
		e.startLocked()
	}
}

// startLocked starts the reader, which shutdown stops. mu is held.
func (e *endpoint) startLocked() {
	if !e.reading {
		e.reading = true
		go e.read()
	}
}

// detachLocked makes sure that no further delivery begins. mu is held.
func (e *endpoint) detachLocked() {
	e.dispatcher = nil
	e.changed.Broadcast()
}

// IsAttached implements gstack.LinkEndpoint.
func (e *endpoint) IsAttached() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dispatcher != nil
}

// Wait implements gstack.LinkEndpoint, see [Device.Endpoint].
func (e *endpoint) Wait() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.dispatcher != nil {
		e.changed.Wait()
	}
}

// Close implements gstack.LinkEndpoint. It detaches, and waits for the delivery
// under way.
func (e *endpoint) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.detachLocked()
	for last := e.deliveries; e.delivering && e.deliveries == last; {
		e.changed.Wait()
	}
}

// shutdown ends the reader and closes the queue. It is called once.
func (e *endpoint) shutdown() error {
	e.mu.Lock()
	e.closed = true
	e.detachLocked()
	reading := e.reading
	e.mu.Unlock()

	close(e.stopping)
	e.queue.stop()
	if reading {
		<-e.done
	}
	return e.queue.close()
}

// WritePackets implements gstack.LinkEndpoint. The packets stay the caller's.
// One that is refused does not keep those behind it back.
//
// gVisor's forwarding panics on most errors; it knows these two.
func (e *endpoint) WritePackets(pkts gstack.PacketBufferList) (int, tcpip.Error) {
	written := 0
	var failure tcpip.Error
	for _, pkt := range pkts.AsSlice() {
		switch err := e.queue.write(pkt); err {
		case nil:
			written++
		case errClosed:
			return written, &tcpip.ErrClosedForSend{}
		default:
			e.counters.refused.Add(1)
			failure = &tcpip.ErrNoBufferSpace{}
		}
	}
	return written, failure
}

// MTU implements gstack.LinkEndpoint.
func (e *endpoint) MTU() uint32 { return e.mtu.Load() }

// SetMTU implements gstack.LinkEndpoint. The host's side keeps its own.
func (e *endpoint) SetMTU(mtu uint32) { e.mtu.Store(mtu) }

// MaxHeaderLength implements gstack.LinkEndpoint: there is no link header.
func (*endpoint) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements gstack.LinkEndpoint: there is none.
func (*endpoint) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements gstack.LinkEndpoint: there is none to set.
func (*endpoint) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements gstack.LinkEndpoint. The host computes the checksums
// of what it sends, but nobody vouches for those of what it forwards.
func (*endpoint) Capabilities() gstack.LinkEndpointCapabilities { return gstack.CapabilityNone }

// ARPHardwareType implements gstack.LinkEndpoint.
func (*endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements gstack.LinkEndpoint: there is no link header.
func (*endpoint) AddHeader(*gstack.PacketBuffer) {}

// ParseHeader implements gstack.LinkEndpoint: there is no link header.
func (*endpoint) ParseHeader(*gstack.PacketBuffer) bool { return true }

// SetOnCloseAction implements gstack.LinkEndpoint. The device outlives what it
// is attached to, so there is nothing to tell.
func (*endpoint) SetOnCloseAction(func()) {}
