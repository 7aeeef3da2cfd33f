package tun

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/rawfile"
	"gvisor.dev/gvisor/pkg/tcpip/link/stopfd"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// writeWait is how long a write waits for room. A TUN device has room always;
// another kind of descriptor may not.
const writeWait = 10 * time.Millisecond

// batch is how many packets are read before the reader looks up.
const batch = 64

// nativeQueue is a descriptor of a TUN device, or anything that keeps packets
// apart. Packets are read into views and written out of them.
type nativeQueue struct {
	fd       int
	wake     stopfd.StopFD
	stopped  atomic.Bool
	virtio   bool // a virtioHeader stands ahead of each packet
	features Features
	frame    frame // the reader's

	// mu keeps fd open while packets are written.
	mu sync.RWMutex
	// closed says that fd is no longer ours. mu guards it.
	closed bool
}

// newQueue returns a queue that owns fd, which is non-blocking, and was opened
// with flags and granted features.
func newQueue(fd int, flags uint16, features Features) (*nativeQueue, error) {
	wake, err := stopfd.New()
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(wake.EFD)
	return &nativeQueue{fd: fd, wake: wake, virtio: flags&unix.IFF_VNET_HDR != 0, features: features}, nil
}

// Read implements Queue.
func (q *nativeQueue) Read(deliver func(*gstack.PacketBuffer)) error {
	n, err := q.await()
	for i := 0; err == nil && n > 0; i++ {
		if err := q.receive(n, deliver); err != nil {
			return err
		}
		if i == batch {
			return nil
		}
		var errno unix.Errno
		if n, errno = readv(q.fd, q.frame.iovecs(q.virtio)); errno != 0 {
			return nil // If it is more than that there are none, the next Read says so.
		}
	}
	return err
}

// await waits for a packet and reads it. It returns its length.
func (q *nativeQueue) await() (int, error) {
	for !q.stopped.Load() {
		n, errno := rawfile.BlockingReadvUntilStopped(q.wake.EFD, q.fd, q.frame.iovecs(q.virtio))
		switch {
		case n < 0: // Stopped, which the next round tells.
		case errno == unix.EINTR:
		case errno != 0:
			return 0, errno
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
	return 0, os.ErrClosed
}

// Write implements Queue.
func (q *nativeQueue) Write(pkts []*gstack.PacketBuffer) (written int, err error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		return 0, os.ErrClosed
	}
	w := writers.Get().(*writer)
	defer w.release()
	w.queue = q
	for len(pkts) > 0 {
		n, errno := w.write(pkts)
		switch {
		case errno == 0:
			written += n
		case isGoneErrno(errno):
			return written, os.ErrClosed
		}
		pkts = pkts[n:]
	}
	return written, nil
}

// writev writes a packet, waiting a moment for room.
func (q *nativeQueue) writev(iovecs []unix.Iovec) unix.Errno {
	errno := rawfile.NonBlockingWriteIovec(q.fd, iovecs)
	if errno == unix.EAGAIN {
		errno = q.writeLater(iovecs)
	}
	return errno
}

// writeLater writes as soon as there is room, or gives up.
func (q *nativeQueue) writeLater(iovecs []unix.Iovec) unix.Errno {
	errno := unix.EAGAIN
	for deadline := time.Now().Add(writeWait); errno == unix.EAGAIN && q.awaitRoom(deadline); {
		errno = rawfile.NonBlockingWriteIovec(q.fd, iovecs)
	}
	return errno
}

// awaitRoom waits until fd can be written and reports whether that came to
// pass before the deadline.
func (q *nativeQueue) awaitRoom(deadline time.Time) bool {
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		timeout := unix.NsecToTimespec(left.Nanoseconds())
		n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(q.fd), Events: unix.POLLOUT}}, &timeout, nil)
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}

// isGoneErrno reports whether errno says that nothing can ever be written again:
// the interface was deleted (EBADFD). One that is down refuses a packet (EIO).
func isGoneErrno(errno unix.Errno) bool {
	return errno == unix.EBADFD || errno == unix.EPIPE || errno == unix.ECONNRESET
}

// Stop implements Queue.
func (q *nativeQueue) Stop() {
	if !q.stopped.Swap(true) {
		q.wake.Stop()
	}
}

// Close implements Queue.
func (q *nativeQueue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.frame.release()
	if q.virtio {
		relinquish(q.fd)
	}
	return errors.Join(unix.Close(q.fd), unix.Close(q.wake.EFD))
}
