package main

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"github.com/v6stack/v6stack/stack"
)

// An echoService sends back what comes to a port, over TCP and UDP.
type echoService struct {
	mu      sync.Mutex
	sockets map[io.Closer]struct{} // open ones; nil once closed; guarded by mu
	running sync.WaitGroup
}

// serveEcho starts the service at a port of each address: bound to one
// address, a UDP socket answers from it. Close ends it, or the stack's end.
func serveEcho(s *stack.Stack, addresses []netip.Prefix, port int) (*echoService, error) {
	e := &echoService{sockets: make(map[io.Closer]struct{})}
	for _, address := range addresses {
		if err := e.serve(s, net.JoinHostPort(address.Addr().String(), strconv.Itoa(port))); err != nil {
			e.close()
			return nil, err
		}
	}
	return e, nil
}

// serve serves one address.
func (e *echoService) serve(s *stack.Stack, address string) error {
	listener, err := s.Listen("tcp6", address)
	if err != nil {
		return err
	}
	e.start(listener, func() { e.accept(listener) })
	socket, err := s.ListenPacket("udp6", address)
	if err != nil {
		return err
	}
	e.start(socket, func() { echoDatagrams(socket) })
	return nil
}

// start runs a function on a goroutine that close ends, by closing its socket,
// and waits for.
func (e *echoService) start(socket io.Closer, run func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sockets == nil {
		socket.Close()
		return
	}
	e.sockets[socket] = struct{}{}
	e.running.Go(func() {
		run()
		socket.Close()
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.sockets, socket)
	})
}

// accept echoes on each connection until the listener is closed.
func (e *echoService) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		e.start(conn, func() { echoStream(conn) })
	}
}

// echoStream echoes until the peer has sent its last octet, or is gone.
func echoStream(conn net.Conn) {
	_, _ = io.Copy(conn, conn)
}

// echoDatagrams echoes until the socket is closed. An error that a peer caused
// concerns one datagram.
func echoDatagrams(socket net.PacketConn) {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := socket.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = socket.WriteTo(buffer[:n], from)
		}
	}
}

// close ends the service and waits for it.
func (e *echoService) close() {
	e.mu.Lock()
	sockets := e.sockets
	e.sockets = nil
	e.mu.Unlock()
	for socket := range sockets {
		socket.Close()
	}
	e.running.Wait()
}
