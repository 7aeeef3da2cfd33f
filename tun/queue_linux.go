package tun

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/rawfile"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// writeWait is how long a write waits for room. A TUN device has room always;
// another kind of descriptor may not.
const writeWait = 10 * time.Millisecond

// batch is how many packets are read before the reader looks up.
const batch = 64

// nativeQueue is a descriptor of a TUN device, or anything that keeps packets
// apart. Packets are read into views and written out of them. Go's poller waits
// for packets, so that a reader without any holds up nobody else.
type nativeQueue struct {
	fd       int
	file     *os.File // owns fd
	conn     syscall.RawConn
	stopped  atomic.Bool
	virtio   bool // a virtioHeader stands ahead of each packet
	features Features

	// The reader's.
	frame frame
	n     int        // octets of the packet in the frame, header included
	errno unix.Errno // of reading it
	poll  func(fd uintptr) bool

	// mu keeps fd open while packets are written.
	mu sync.RWMutex
	// closed says that fd is no longer ours. mu guards it.
	closed bool
}

// newQueue returns a queue over fd, which was opened with flags and granted
// features, and sets it non-blocking. The queue owns fd if there is no error.
func newQueue(fd int, flags uint16, features Features) (*nativeQueue, error) {
	// The file would close what stays the caller's.
	if err := pollable(fd); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	q := &nativeQueue{
		fd:       fd,
		file:     os.NewFile(uintptr(fd), "/dev/net/tun"),
		virtio:   flags&unix.IFF_VNET_HDR != 0,
		features: features,
	}
	conn, err := q.file.SyscallConn()
	if err != nil {
		return nil, err // which cannot be
	}
	q.conn, q.poll = conn, q.readFrame
	return q, nil
}

// pollable reports, by an error, that packets on fd cannot be waited for.
func pollable(fd int) error {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(epoll)
	return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN})
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

// looks is how often a reader looks for a packet, letting others run in between,
// before it has itself woken when there is one: being woken for each of many
// small packets costs more than all else.
const looks = 4

// await waits for a packet and reads it. It returns its length.
func (q *nativeQueue) await() (int, error) {
	for {
		if q.stopped.Load() {
			return 0, os.ErrClosed
		}
		if q.look() || q.conn.Read(q.poll) == nil {
			break
		}
		// Stop or nudge was called. In this order, or Stop might be missed.
		_ = q.file.SetReadDeadline(time.Time{}) // The file can be polled.
	}
	switch {
	case q.errno != 0:
		return 0, q.errno
	case q.n == 0:
		return 0, io.EOF
	}
	return q.n, nil
}

// look looks for a packet without waiting, and does as readFrame.
func (q *nativeQueue) look() bool {
	for range looks {
		if q.readFrame(0) {
			return true
		}
		runtime.Gosched()
	}
	return false
}

// readFrame reads a packet into the frame and reports whether there was one, or
// an error.
func (q *nativeQueue) readFrame(uintptr) bool {
	for {
		q.n, q.errno = readv(q.fd, q.frame.iovecs(q.virtio))
		if q.errno != unix.EINTR {
			return q.errno != unix.EAGAIN
		}
	}
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

// nudge has a Read that waits look for a packet again.
func (q *nativeQueue) nudge() {
	_ = q.file.SetReadDeadline(time.Unix(1, 0)) // The file can be polled.
}

// Stop implements Queue.
func (q *nativeQueue) Stop() {
	q.stopped.Store(true)
	q.nudge()
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
	return q.file.Close()
}
