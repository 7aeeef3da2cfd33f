package stack

import (
	"net"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

var (
	_ net.Conn     = (*conn)(nil)
	_ net.Listener = (*listener)(nil)
)

// A conn is a TCP connection that says net.ErrClosed when it is closed, as
// Go's do and gonet's do not.
type conn struct {
	stream
	closable
}

// stream hides the Close of gonet's connections behind that of [closable].
type stream struct{ *gonet.TCPConn }

func newConn(inner *gonet.TCPConn, life *lifetime) *conn {
	c := &conn{stream: stream{inner}}
	c.open(life, "tcp", func() { inner.Close() })
	return c
}

// Read reads as net.Conn says.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	return n, c.fault("read", err)
}

// Write writes as net.Conn says.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	return n, c.fault("write", err)
}

// CloseWrite sends the end of the stream; the other direction stays open.
func (c *conn) CloseWrite() error { return c.shut(c.TCPConn.CloseWrite) }

// CloseRead ends reading; the other direction stays open.
func (c *conn) CloseRead() error { return c.shut(c.TCPConn.CloseRead) }

// shut closes one direction of an open connection.
func (c *conn) shut(direction func() error) error {
	if c.closed.Load() {
		return c.fault("close", net.ErrClosed)
	}
	return c.fault("close", direction())
}

// A listener listens for TCP connections.
type listener struct {
	inner *gonet.TCPListener
	closable
}

func newListener(inner *gonet.TCPListener, life *lifetime) *listener {
	l := &listener{inner: inner}
	l.open(life, "tcp", func() {
		inner.Shutdown()
		inner.Close()
	})
	return l
}

// Accept waits for the next connection, which is the caller's to close.
func (l *listener) Accept() (net.Conn, error) {
	inner, err := l.inner.Accept()
	if err != nil {
		return nil, l.fault("accept", err)
	}
	if !l.life.begin() {
		inner.Close()
		return nil, l.fault("accept", ErrClosed)
	}
	defer l.life.done()
	return newConn(inner.(*gonet.TCPConn), l.life), nil
}

// Addr returns the address listened at.
func (l *listener) Addr() net.Addr { return l.inner.Addr() }
