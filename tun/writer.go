package tun

import (
	"errors"

	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// write sends packets, borrowed, each flow through a queue of its own, and
// returns how many went. An error says that none can be written any more.
func (e *endpoint) write(pkts []*gstack.PacketBuffer) (written int, err error) {
	if len(e.readers) == 1 {
		return e.readers[0].queue.Write(pkts)
	}
	for len(pkts) > 0 {
		q, n := e.run(pkts)
		went, err := e.writeTo(q, pkts[:n])
		written += went
		if err != nil {
			return written, err
		}
		pkts = pkts[n:]
	}
	return written, nil
}

// writeTo writes packets through that queue or, if it is gone, another one: only
// the device is gone with all of them. Linux takes what is written to a queue
// that is detached.
func (e *endpoint) writeTo(queue int, pkts []*gstack.PacketBuffer) (written int, err error) {
	for i := range e.readers {
		r := e.readers[(queue+i)%len(e.readers)]
		if written, err = r.queue.Write(pkts); written > 0 || err == nil {
			return written, nil
		}
	}
	return written, err
}

// run returns the queue of the first packet, and how many packets from the
// front are for it.
func (e *endpoint) run(pkts []*gstack.PacketBuffer) (queue, n int) {
	queue = e.queueOf(pkts[0])
	for n = 1; n < len(pkts) && e.queueOf(pkts[n]) == queue; n++ {
	}
	return queue, n
}

func (e *endpoint) queueOf(pkt *gstack.PacketBuffer) int {
	return int(flowHash(pkt) % uint32(len(e.readers)))
}

// closeQueues closes all queues.
func (e *endpoint) closeQueues() error {
	var errs []error
	for _, r := range e.readers {
		errs = append(errs, r.queue.Close())
	}
	return errors.Join(errs...)
}
