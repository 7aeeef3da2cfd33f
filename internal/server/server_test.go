package server_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/v6stack/v6stack/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen returns a listener on a free port.
func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func TestServe(t *testing.T) {
	s := server.Start(listen(t), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "answer")
	}))
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(response.Body)
	response.Body.Close()
	if string(got) != "answer" || err != nil {
		t.Errorf("%q, error %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Get("http://" + s.Addr().String()); err == nil {
		t.Error("answered after Close")
	}
	if err := s.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

// Connections that are silent, idle or in the middle of an answer end with the
// server, which waits for them.
func TestCloseEndsConnections(t *testing.T) {
	answering := make(chan struct{})
	var ended atomic.Bool
	s := server.Start(listen(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/idle" {
			return
		}
		defer ended.Store(true)
		close(answering)
		for chunk := make([]byte, 1<<16); ; {
			if _, err := w.Write(chunk); err != nil {
				// A Close that does not wait has time to be found out.
				time.Sleep(50 * time.Millisecond)
				return
			}
		}
	}))
	var connections []net.Conn
	for _, request := range []string{"", "GET /idle HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		connections = append(connections, c)
	}
	if _, err := connections[1].Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	<-answering
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if !ended.Load() {
		t.Error("Close did not wait for an answer to end")
	}
	for i, c := range connections {
		if _, err := io.Copy(io.Discard, c); err != nil && i == 0 {
			t.Errorf("connection %d: %v, want its end", i, err)
		}
	}
}

// A brokenListener accepts nothing.
type brokenListener struct {
	net.Listener
	closed chan struct{}
}

var errBroken = errors.New("broken")

func (brokenListener) Accept() (net.Conn, error) { return nil, errBroken }

func (l brokenListener) Close() error {
	close(l.closed)
	return l.Listener.Close()
}

// What ended the server before Close is not lost.
func TestListenerFails(t *testing.T) {
	listener := brokenListener{listen(t), make(chan struct{})}
	s := server.Start(listener, http.NotFoundHandler())
	<-listener.closed
	if err := s.Close(); !errors.Is(err, errBroken) {
		t.Errorf("error %v, want %v", err, errBroken)
	}
}
