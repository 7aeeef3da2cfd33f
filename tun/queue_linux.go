package tun

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
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

// read implements queue.
func (q *nativeQueue) read() (buffer.Buffer, error) {
	for !q.stopped.Load() {
		n, errno := rawfile.BlockingReadvUntilStopped(q.wake.EFD, q.fd, q.frame.iovecs())
		switch {
		case n < 0: // Stopped, which the next round tells.
		case errno == unix.EINTR:
		case errno != 0:
			return buffer.Buffer{}, errno
		case n == 0:
			return buffer.Buffer{}, io.EOF
		default:
			return q.frame.take(n), nil
		}
	}
	return buffer.Buffer{}, errStopped
}

// write implements queue.
func (q *nativeQueue) write(pkt *gstack.PacketBuffer) error {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		return errClosed
	}
	var few [8]unix.Iovec
	iovecs := gather(few[:0], pkt)
	if len(iovecs) == 0 {
		return io.ErrShortWrite
	}
	errno := rawfile.NonBlockingWriteIovec(q.fd, iovecs)
	if errno == unix.EAGAIN {
		errno = q.writeLater(iovecs)
	}
	return writeError(errno)
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

// writeError maps what a write gave. An interface that is down refuses a packet
// (EIO); one that was deleted (EBADFD) is gone for good.
func writeError(errno unix.Errno) error {
	switch errno {
	case 0:
		return nil
	case unix.EBADFD, unix.EPIPE, unix.ECONNRESET:
		return errClosed
	}
	return errno
}

// stop implements queue.
func (q *nativeQueue) stop() {
	if !q.stopped.Swap(true) {
		q.wake.Stop()
	}
}

// close implements queue.
func (q *nativeQueue) close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.frame.release()
	return errors.Join(unix.Close(q.fd), unix.Close(q.wake.EFD))
}
