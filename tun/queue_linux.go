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

// nativeQueue is a descriptor of a TUN device, or anything that keeps packets
// apart. Packets are read into views and written out of them.
type nativeQueue struct {
	fd      int
	wake    stopfd.StopFD
	stopped atomic.Bool
	frame   frame // the reader's

	// mu keeps fd open while packets are written.
	mu sync.RWMutex
	// closed says that fd is no longer ours. mu guards it.
	closed bool
}

// newQueue returns a queue that owns fd, which is non-blocking.
func newQueue(fd int) (*nativeQueue, error) {
	wake, err := stopfd.New()
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(wake.EFD)
	return &nativeQueue{fd: fd, wake: wake}, nil
}

// Read implements Queue.
func (q *nativeQueue) Read(deliver func(*gstack.PacketBuffer)) error {
	for !q.stopped.Load() {
		n, errno := rawfile.BlockingReadvUntilStopped(q.wake.EFD, q.fd, q.frame.iovecs())
		switch {
		case n < 0: // Stopped, which the next round tells.
		case errno == unix.EINTR:
		case errno != 0:
			return errno
		case n == 0:
			return io.EOF
		default:
			deliver(gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: q.frame.take(n)}))
			return nil
		}
	}
	return os.ErrClosed
}

// Write implements Queue.
func (q *nativeQueue) Write(pkts []*gstack.PacketBuffer) (written int, err error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	for _, pkt := range pkts {
		if q.closed {
			return written, os.ErrClosed
		}
		switch errno := q.write(pkt); {
		case errno == 0:
			written++
		case isGoneErrno(errno):
			return written, os.ErrClosed
		}
	}
	return written, nil
}

// write writes one packet, borrowed.
func (q *nativeQueue) write(pkt *gstack.PacketBuffer) unix.Errno {
	var few [8]unix.Iovec
	iovecs := gather(few[:0], pkt)
	if len(iovecs) == 0 {
		return unix.EINVAL
	}
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
	return errors.Join(unix.Close(q.fd), unix.Close(q.wake.EFD))
}
