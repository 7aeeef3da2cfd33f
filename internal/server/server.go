// Package server runs an HTTP server on a listener and ends it without
// leaving anything behind.
package server

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits on clients that stall.
const (
	headerTimeout = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
)

// A Server serves HTTP until it is closed. All methods may be called from many
// goroutines at once.
type Server struct {
	http        http.Server
	address     net.Addr
	connections sync.WaitGroup
	served      chan struct{} // closed when nothing is accepted any more
	serveErr    error         // written before served is closed
}

// Start serves handler on listener, which is taken over: [Server.Close] ends
// it and the goroutines that serve.
func Start(listener net.Listener, handler http.Handler) *Server {
	s := &Server{address: listener.Addr(), served: make(chan struct{})}
	s.http = http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         s.follow,
	}
	go func() {
		defer close(s.served)
		s.serveErr = s.http.Serve(listener)
	}()
	return s
}

// follow counts the connections there are.
func (s *Server) follow(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.connections.Done()
	}
}

// Addr returns the address that the listener had.
func (s *Server) Addr() net.Addr { return s.address }

// Close ends the listener and all connections, also those in the middle of an
// answer, and waits for them. It returns the error that had ended the server
// before, if any.
func (s *Server) Close() error {
	closeErr := s.http.Close()
	<-s.served
	// A connection may have been accepted while the others were closed.
	closeErr = errors.Join(closeErr, s.http.Close())
	s.connections.Wait()
	if errors.Is(s.serveErr, http.ErrServerClosed) {
		return closeErr
	}
	return errors.Join(s.serveErr, closeErr)
}
