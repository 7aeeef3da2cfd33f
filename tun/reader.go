package tun

import (
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// pause is how long the reader rests after an error, so that an interface that
// was deleted costs nothing.
const pause = 100 * time.Millisecond

// read reads packets and delivers them until the queue is stopped.
func (e *endpoint) read() {
	defer close(e.done)
	for {
		packet, err := e.queue.read()
		switch err {
		case nil:
			e.deliver(packet)
		case errStopped:
			return
		case errTooLong:
			e.counters.tooLong.Add(1)
		default:
			e.counters.readErrors.Add(1)
			e.rest()
		}
	}
}

// rest waits for the pause to pass, or for shutdown.
func (e *endpoint) rest() {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.stopping:
	}
}

// deliver hands packet, which it owns, to whoever is attached.
func (e *endpoint) deliver(packet buffer.Buffer) {
	protocol, ok := protocolOf(&packet)
	if !ok {
		e.counters.notIP.Add(1)
		packet.Release()
		return
	}
	dispatcher := e.begin()
	if dispatcher == nil {
		e.counters.detached.Add(1)
		packet.Release()
		return
	}
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: packet})
	pkt.NetworkProtocolNumber = protocol
	dispatcher.DeliverNetworkPacket(protocol, pkt)
	pkt.DecRef()
	e.end()
}

// begin notes that a delivery begins and returns to whom, nil for nobody.
func (e *endpoint) begin() gstack.NetworkDispatcher {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dispatcher == nil {
		return nil
	}
	e.delivering = true
	e.deliveries++
	return e.dispatcher
}

// end notes that the delivery is over.
func (e *endpoint) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.delivering = false
	e.changed.Broadcast()
}

// protocolOf tells the protocol of a packet by its version field.
func protocolOf(packet *buffer.Buffer) (tcpip.NetworkProtocolNumber, bool) {
	views := packet.AsViewList()
	first := views.Front()
	if first == nil {
		return 0, false
	}
	switch first.AsSlice()[0] >> 4 {
	case header.IPv4Version:
		return header.IPv4ProtocolNumber, true
	case header.IPv6Version:
		return header.IPv6ProtocolNumber, true
	}
	return 0, false
}
