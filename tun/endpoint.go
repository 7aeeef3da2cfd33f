package tun

import (
	"math"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

var (
	_ gstack.LinkEndpoint = (*endpoint)(nil)
	_ gstack.GSOEndpoint  = (*endpoint)(nil)
)

// maxSegment is the length of the longest packet, in octets, that IPv4 and IPv6
// both know: the largest that gVisor leaves to be segmented.
const maxSegment = 65535

// endpoint is a device as gVisor sees it. One goroutine a queue reads from the
// first attachment until shutdown; attachments only change to whom it delivers,
// so that detaching never waits for it.
type endpoint struct {
	readers  []*reader
	features Features
	counters counters
	mtu      atomic.Uint32
	stopping chan struct{} // closed by shutdown
	done     sync.WaitGroup

	// dispatcher is who is attached, or nil. It changes under mu.
	dispatcher atomic.Pointer[gstack.NetworkDispatcher]

	// mu is held for moments only, never while a packet is delivered. It stands
	// above those of the readers.
	mu sync.Mutex
	// detached is told when dispatcher becomes nil. It uses mu.
	detached sync.Cond
	// reading says that the readers were started. mu guards it.
	reading bool
	// closed says that shutdown has begun. mu guards it.
	closed bool
}

func newEndpoint(mtu int, features Features, queues []Queue) *endpoint {
	e := &endpoint{features: features, stopping: make(chan struct{})}
	e.mtu.Store(uint32(mtu))
	e.detached.L = &e.mu
	for _, q := range queues {
		e.readers = append(e.readers, newReader(e, q))
	}
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
	case !e.isAttached() && !e.closed:
		e.dispatcher.Store(&dispatcher)
		e.startLocked()
	}
}

// startLocked starts the readers, which shutdown stops. mu is held.
func (e *endpoint) startLocked() {
	if e.reading {
		return
	}
	e.reading = true
	for _, r := range e.readers {
		e.done.Go(r.run)
	}
}

// detachLocked makes sure that no further delivery begins. mu is held.
func (e *endpoint) detachLocked() {
	e.dispatcher.Store(nil)
	e.detached.Broadcast()
}

func (e *endpoint) isAttached() bool { return e.dispatcher.Load() != nil }

// IsAttached implements gstack.LinkEndpoint.
func (e *endpoint) IsAttached() bool { return e.isAttached() }

// Wait implements gstack.LinkEndpoint, see [Device.Endpoint].
func (e *endpoint) Wait() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.isAttached() {
		e.detached.Wait()
	}
}

// Close implements gstack.LinkEndpoint. It detaches, and waits for the
// deliveries under way.
func (e *endpoint) Close() {
	e.mu.Lock()
	e.detachLocked()
	e.mu.Unlock()
	for _, r := range e.readers {
		r.settle()
	}
}

// failures returns how many reads failed, of all queues and of the one with the
// fewest.
func (e *endpoint) failures() (all, least uint64) {
	least = math.MaxUint64
	for _, r := range e.readers {
		n := r.failures.Load()
		all, least = all+n, min(least, n)
	}
	return all, least
}

// shutdown ends the readers and closes the queues. It is called once.
func (e *endpoint) shutdown() error {
	e.mu.Lock()
	e.closed = true
	e.detachLocked()
	e.mu.Unlock()

	close(e.stopping)
	for _, r := range e.readers {
		r.queue.Stop()
	}
	e.done.Wait()
	return e.closeQueues()
}

// WritePackets implements gstack.LinkEndpoint. The packets stay the caller's.
// One that is refused does not keep those behind it back.
//
// gVisor's forwarding panics on most errors; it knows these two.
func (e *endpoint) WritePackets(pkts gstack.PacketBufferList) (int, tcpip.Error) {
	all := pkts.AsSlice()
	written, err := e.write(all)
	switch {
	case err != nil:
		return written, &tcpip.ErrClosedForSend{}
	case written < len(all):
		e.counters.refused.Add(uint64(len(all) - written))
		return written, &tcpip.ErrNoBufferSpace{}
	}
	return written, nil
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

// Capabilities implements gstack.LinkEndpoint. With checksum offload the reader
// verifies what nobody vouches for. That of what gVisor sends is for TCP only,
// with its segmentation: gVisor takes the capability for one of all packets,
// those that it cuts into fragments included.
func (e *endpoint) Capabilities() gstack.LinkEndpointCapabilities {
	if e.features.Checksum {
		return gstack.CapabilityRXChecksumOffload
	}
	return gstack.CapabilityNone
}

// SupportedGSO implements gstack.GSOEndpoint. What does not pass whole gVisor
// cuts just before it gets here: its TCP does less for few large segments.
func (e *endpoint) SupportedGSO() gstack.SupportedGSO {
	if e.features.TSO4 && e.features.TSO6 {
		return gstack.HostGSOSupported
	}
	return gstack.GVisorGSOSupported
}

// GSOMaxSize implements gstack.GSOEndpoint.
func (*endpoint) GSOMaxSize() uint32 { return maxSegment }

// ARPHardwareType implements gstack.LinkEndpoint.
func (*endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements gstack.LinkEndpoint: there is no link header.
func (*endpoint) AddHeader(*gstack.PacketBuffer) {}

// ParseHeader implements gstack.LinkEndpoint: there is no link header.
func (*endpoint) ParseHeader(*gstack.PacketBuffer) bool { return true }

// SetOnCloseAction implements gstack.LinkEndpoint. The device outlives what it
// is attached to, so there is nothing to tell.
func (*endpoint) SetOnCloseAction(func()) {}
