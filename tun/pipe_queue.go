package tun

import (
	"os"
	"sync/atomic"

	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

var _ Queue = (*pipeQueue)(nil)

// pipeQueue is one end of a pipe.
type pipeQueue struct {
	in, out *lane
	offload bool
	mtu     *atomic.Uint32 // of the endpoint
}

// Read implements Queue.
func (q *pipeQueue) Read(deliver func(*gstack.PacketBuffer)) error { return q.in.take(deliver) }

// Write implements Queue.
func (q *pipeQueue) Write(pkts []*gstack.PacketBuffer) (written int, err error) {
	q.out.mu.RLock()
	defer q.out.mu.RUnlock()
	if q.out.closed {
		return 0, os.ErrClosed
	}
	w := pipeWriters.Get().(*pipeWriter)
	defer w.release()
	w.queue = q
	for _, pkt := range pkts {
		switch w.write(pkt) {
		case nil:
			written++
		case os.ErrClosed:
			return written, os.ErrClosed
		}
	}
	return written, nil
}

// Stop implements Queue.
func (q *pipeQueue) Stop() { q.in.stop() }

// Close implements Queue. What was written stays for the other end to read.
func (q *pipeQueue) Close() error {
	q.out.close()
	q.in.close()
	q.in.drain()
	return nil
}
