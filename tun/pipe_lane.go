package tun

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// roomWait is how long a packet waits for room in a lane.
const roomWait = 50 * time.Millisecond

// laneBatch is how many packets are read before the reader looks up.
const laneBatch = 64

// A lane is one direction of a pipe: packets on their way. It owns them.
type lane struct {
	packets chan *gstack.PacketBuffer
	// stopped is closed when the reading end stops.
	stopped chan struct{}
	stop    func()
	// attended says that somebody has begun to read.
	attended atomic.Bool

	// mu is held shared by those who put packets in.
	mu sync.RWMutex
	// closed says that either end is closed. mu guards it.
	closed bool
}

func newLane(depth int) *lane {
	l := &lane{packets: make(chan *gstack.PacketBuffer, depth), stopped: make(chan struct{})}
	l.stop = sync.OnceFunc(func() { close(l.stopped) })
	return l
}

// take waits for packets and hands those that are there to deliver, which takes
// each over.
func (l *lane) take(deliver func(*gstack.PacketBuffer)) error {
	l.attended.Store(true)
	select {
	case <-l.stopped: // first of all, however many packets there are
		return os.ErrClosed
	default:
	}
	select {
	case <-l.stopped:
		return os.ErrClosed
	case pkt := <-l.packets:
		deliver(pkt)
	}
	for range laneBatch - 1 {
		select {
		case pkt := <-l.packets:
			deliver(pkt)
		default:
			return nil
		}
	}
	return nil
}

// close lets nothing in any more. It waits for those who put packets in.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// drain releases the packets that nobody is going to read. The lane is closed.
func (l *lane) drain() {
	for {
		select {
		case pkt := <-l.packets:
			pkt.DecRef()
		default:
			return
		}
	}
}
