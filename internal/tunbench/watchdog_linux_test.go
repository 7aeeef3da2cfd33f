package tunbench

import (
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a transfer may make no progress.
const patience = 30 * time.Second

// A watchdog closes connections that make no progress.
type watchdog struct {
	progress atomic.Int64 // what has arrived
	barked   atomic.Bool
	conns    []net.Conn
	stop     chan struct{}
}

// watch returns a watchdog over conns, which it owns from here on; they are
// closed when b ends, if not before.
func watch(b *testing.B, conns ...net.Conn) *watchdog {
	w := &watchdog{conns: conns, stop: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run()
	}()
	b.Cleanup(func() {
		close(w.stop)
		<-done
		w.close()
	})
	return w
}

// run looks at the progress once a second, until stop is closed.
func (w *watchdog) run() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, since := int64(-1), time.Now()
	for {
		select {
		case <-w.stop:
			return
		case now := <-tick.C:
			if seen := w.progress.Load(); seen != last {
				last, since = seen, now
			}
			if now.Sub(since) >= patience {
				w.barked.Store(true)
				w.close()
				return
			}
		}
	}
}

// close ends all that reads and writes, and the connections.
func (w *watchdog) close() {
	for _, c := range w.conns {
		c.SetDeadline(time.Now()) // wakes those that wait
		c.Close()
	}
}

// fail ends b because of err, which a connection returned.
func (w *watchdog) fail(b *testing.B, err error) {
	b.Helper()
	if w.barked.Load() {
		b.Fatalf("no progress for %v after %d octets", patience, w.progress.Load())
	}
	b.Fatalf("after %d octets: %v", w.progress.Load(), err)
}
