package stack

import (
	"net"
	"sync"
	"sync/atomic"
)

// A closable is the part of a socket that knows whether it may still be used.
type closable struct {
	life    *lifetime
	network string // "tcp" or "udp"
	inner   func() // closes the endpoint
	once    sync.Once
	closed  atomic.Bool // by its owner
}

// open makes the socket known to its stack.
func (c *closable) open(life *lifetime, network string, inner func()) {
	c.life, c.network, c.inner = life, network, inner
	life.add(c)
}

// release closes the endpoint and frees what it holds.
func (c *closable) release() { c.once.Do(c.inner) }

// Close closes the socket; it implements net.Conn, net.PacketConn and
// net.Listener. Closing it again says net.ErrClosed.
func (c *closable) Close() error {
	if c.closed.Swap(true) {
		return &net.OpError{Op: "close", Net: c.network, Err: net.ErrClosed}
	}
	c.life.remove(c)
	c.release()
	return nil
}

// fault returns err, or what stands behind it: that the socket or the stack is
// closed.
func (c *closable) fault(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case c.closed.Load():
		return &net.OpError{Op: op, Net: c.network, Err: net.ErrClosed}
	case c.life.hasEnded():
		return &net.OpError{Op: op, Net: c.network, Err: ErrClosed}
	}
	return err
}
