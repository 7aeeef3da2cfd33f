package tun

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
)

// pause is how long a reader rests after an error, so that an interface that
// was deleted costs nothing.
const pause = 100 * time.Millisecond

// A reader takes the packets of one queue to whoever is attached to the
// endpoint. Those that a queue hands over at once are one delivery.
type reader struct {
	endpoint *endpoint
	queue    Queue
	begun    bool          // the delivery of these packets; the goroutine's alone
	failures atomic.Uint64 // of reads

	// mu is a leaf.
	mu sync.Mutex
	// ended is told of each delivery's end. It uses mu.
	ended sync.Cond
	// delivering says that a delivery is under way, and deliveries how many
	// there have been, it included. mu guards both.
	delivering bool
	deliveries uint64
}

func newReader(e *endpoint, q Queue) *reader {
	r := &reader{endpoint: e, queue: q}
	r.ended.L = &r.mu
	return r
}

// run reads packets and delivers them until the queue is stopped.
func (r *reader) run() {
	deliver := r.deliver // bound once
	for {
		err := r.queue.Read(deliver)
		r.end()
		switch {
		case err == nil:
		case errors.Is(err, os.ErrClosed):
			return
		case err == errTooLong:
			r.endpoint.counters.tooLong.Add(1)
		case err == errMalformed:
			r.endpoint.counters.malformed.Add(1)
		default:
			r.failures.Add(1)
			r.endpoint.rest()
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

// deliver hands pkt, which it owns, to whoever is attached.
func (r *reader) deliver(pkt *gstack.PacketBuffer) {
	defer pkt.DecRef()
	c := &r.endpoint.counters
	protocol, ok := protocolOf(pkt)
	if !ok {
		c.notIP.Add(1)
		return
	}
	if r.endpoint.features.Checksum && !isVouched(pkt) {
		c.badChecksum.Add(1)
		return
	}
	if !r.begun {
		r.begin()
	}
	// Looked up after the beginning, so that whoever detaches and then settles
	// has either stopped this delivery or waits for it.
	dispatcher := r.endpoint.dispatcher.Load()
	if dispatcher == nil {
		c.detached.Add(1)
		return
	}
	pkt.NetworkProtocolNumber = protocol
	(*dispatcher).DeliverNetworkPacket(protocol, pkt)
}

// isVouched reports whether the checksums of pkt, borrowed, are right, or left
// to be finished, or the system's word for it. gVisor believes whatever comes
// from a device that verifies checksums at all.
func isVouched(pkt *gstack.PacketBuffer) bool {
	return pkt.GSOOptions.NeedsCsum || pkt.RXChecksumValidated || offload.ValidPacket(pkt)
}

// begin notes that a delivery begins.
func (r *reader) begin() {
	r.begun = true
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delivering = true
	r.deliveries++
}

// end notes that the delivery, if there was one, is over.
func (r *reader) end() {
	if !r.begun {
		return
	}
	r.begun = false
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delivering = false
	r.ended.Broadcast()
}

// settle waits for the delivery under way.
func (r *reader) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for last := r.deliveries; r.delivering && r.deliveries == last; {
		r.ended.Wait()
	}
}

// protocolOf tells the protocol of a packet by its version field.
func protocolOf(pkt *gstack.PacketBuffer) (tcpip.NetworkProtocolNumber, bool) {
	var first [1]byte
	if copyOut(first[:], pkt, 0) == 0 {
		return 0, false
	}
	switch first[0] >> 4 {
	case header.IPv4Version:
		return header.IPv4ProtocolNumber, true
	case header.IPv6Version:
		return header.IPv6ProtocolNumber, true
	}
	return 0, false
}
