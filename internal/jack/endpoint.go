package jack

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// An endpoint is a jack as one link of a stack sees it.
type endpoint struct {
	jack *Jack

	// mu is held for moments only, never while a packet is delivered. It stands
	// above that of the jack.
	mu sync.Mutex
	// changed is told when the dispatcher goes, and when the last delivery under
	// way ends. It uses mu.
	changed    sync.Cond
	dispatcher gstack.NetworkDispatcher // guarded by mu; nil while detached
	inside     int                      // deliveries under way; guarded by mu
}

var (
	_ gstack.LinkEndpoint = (*endpoint)(nil)
	_ gstack.GSOEndpoint  = (*endpoint)(nil)
)

// Endpoint returns the jack as a new link endpoint of gVisor. There may be many;
// packets come to the one that was attached last. Closing an endpoint detaches
// it and leaves the jack as it is.
func (j *Jack) Endpoint() gstack.LinkEndpoint {
	e := &endpoint{jack: j}
	e.changed.L = &e.mu
	return e
}

// Attach implements [gstack.LinkEndpoint]. A dispatcher that is attached
// already stays until it is detached.
func (e *endpoint) Attach(dispatcher gstack.NetworkDispatcher) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case dispatcher == nil:
		e.detachLocked()
	case e.dispatcher == nil:
		e.dispatcher = dispatcher
		e.jack.attach(e)
	}
}

// detachLocked makes sure that no further delivery begins. The caller holds
// e.mu.
func (e *endpoint) detachLocked() {
	if e.dispatcher != nil {
		e.dispatcher = nil
		e.jack.detach(e)
		e.changed.Broadcast()
	}
}

// IsAttached implements [gstack.LinkEndpoint].
func (e *endpoint) IsAttached() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dispatcher != nil
}

// Wait implements [gstack.LinkEndpoint] as that of a tun.Device does: it returns
// once no further delivery begins, but does not wait for one under way.
func (e *endpoint) Wait() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.dispatcher != nil {
		e.changed.Wait()
	}
}

// Close implements [gstack.LinkEndpoint]. It detaches, and waits for deliveries
// under way.
func (e *endpoint) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.detachLocked()
	for e.inside > 0 {
		e.changed.Wait()
	}
}

// deliver hands a packet, which it borrows, to whoever is attached.
func (e *endpoint) deliver(protocol tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	e.mu.Lock()
	dispatcher := e.dispatcher
	if dispatcher != nil {
		e.inside++
	}
	e.mu.Unlock()
	if dispatcher == nil {
		return
	}
	dispatcher.DeliverNetworkPacket(protocol, pkt)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inside--
	if e.inside == 0 {
		e.changed.Broadcast()
	}
}

// WritePackets implements [gstack.LinkEndpoint]. Without a device it gives
// ErrClosedForSend, which the stack takes for a link that is down.
func (e *endpoint) WritePackets(pkts gstack.PacketBufferList) (int, tcpip.Error) {
	device := e.jack.device.Load()
	if device == nil {
		return 0, &tcpip.ErrClosedForSend{}
	}
	return (*device).Endpoint().WritePackets(pkts)
}

// MTU implements [gstack.LinkEndpoint].
func (e *endpoint) MTU() uint32 { return e.jack.mtu.Load() }

// SetMTU implements [gstack.LinkEndpoint]. The host's side keeps its own.
func (e *endpoint) SetMTU(mtu uint32) { e.jack.mtu.Store(mtu) }

// MaxHeaderLength implements [gstack.LinkEndpoint]: there is no link header.
func (*endpoint) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements [gstack.LinkEndpoint]: there is none.
func (*endpoint) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements [gstack.LinkEndpoint]: there is none to set.
func (*endpoint) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements [gstack.LinkEndpoint]. They are the device's, or the
// last one's.
func (e *endpoint) Capabilities() gstack.LinkEndpointCapabilities {
	return e.jack.offloads.Load().capabilities
}

// SupportedGSO implements [gstack.GSOEndpoint], as Capabilities does. What gVisor
// has left to one device to cut, the next one takes, too: see [Device].
func (e *endpoint) SupportedGSO() gstack.SupportedGSO { return e.jack.offloads.Load().gso }

// GSOMaxSize implements [gstack.GSOEndpoint], as Capabilities does.
func (e *endpoint) GSOMaxSize() uint32 { return e.jack.offloads.Load().gsoMaxSize }

// ARPHardwareType implements [gstack.LinkEndpoint].
func (*endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements [gstack.LinkEndpoint]: there is no link header.
func (*endpoint) AddHeader(*gstack.PacketBuffer) {}

// ParseHeader implements [gstack.LinkEndpoint]: there is no link header.
func (*endpoint) ParseHeader(*gstack.PacketBuffer) bool { return true }

// SetOnCloseAction implements [gstack.LinkEndpoint]. The jack outlives its
// endpoints, so there is nothing to tell.
func (*endpoint) SetOnCloseAction(func()) {}
