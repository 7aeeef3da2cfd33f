//go:build unix

package control_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/v6stack/v6stack/internal/control"
	"github.com/v6stack/v6stack/internal/server"
)

// serve serves handler at path until the test ends.
func serve(t *testing.T, path string, handler http.Handler) {
	t.Helper()
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	s := server.Start(l, handler)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What the client gets is what the server took.
func TestAsk(t *testing.T) {
	source := example()
	path := socketPath(t)
	serve(t, path, control.NewHandler(source, self, func() time.Time { return now }))
	for _, flows := range []bool{false, true} {
		want := control.NewSnapshot(source.stats, self, now)
		if flows {
			want.Flows = control.NewFlows(source.Flows(), source.stats)
		}
		got, err := control.Ask(t.Context(), path, flows)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("flows %v: error %v, got\n%+v\nwant\n%+v", flows, err, got, want)
		}
	}
}

// Nothing can be asked but how it is, and nothing changed.
func TestOtherRequests(t *testing.T) {
	path := socketPath(t)
	serve(t, path, control.NewHandler(example(), self, nil))
	for request, want := range map[string]string{
		"GET / HTTP/1.0":        "404",
		"GET /other HTTP/1.0":   "404",
		"POST /status HTTP/1.0": "405",
		"GET /status HTTP/1.0":  "200",
		"nonsense":              "400",
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, request+"\r\n\r\n"); err != nil {
			t.Error(err)
		}
		answer, err := io.ReadAll(c)
		if err != nil || !strings.Contains(strings.SplitN(string(answer), "\r\n", 2)[0], want) {
			t.Errorf("%s: answer %.100q, error %v, want %s", request, answer, err, want)
		}
		c.Close()
	}
}

// Errors name the path, and say what it means.
func TestAskFails(t *testing.T) {
	absent := socketPath(t)
	stale := socketPath(t)
	leaveStale(t, stale)
	other := socketPath(t)
	serve(t, other, http.NotFoundHandler())
	nonsense := socketPath(t)
	serve(t, nonsense, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{") }))
	folder := filepath.Dir(absent)
	for _, test := range []struct {
		path  string
		cause error
		want  string
	}{
		{absent, fs.ErrNotExist, "no v6stack runs there"},
		{stale, syscall.ECONNREFUSED, "any more"},
		{other, nil, "404"},
		{nonsense, io.ErrUnexpectedEOF, "no snapshot"},
		{folder, syscall.ECONNREFUSED, ""},
		{strings.Repeat("x", 200), syscall.EINVAL, "invalid"},
	} {
		_, err := control.Ask(t.Context(), test.path, false)
		if err == nil || test.cause != nil && !errors.Is(err, test.cause) ||
			!strings.Contains(err.Error(), test.path) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.path, err, test.want)
		}
	}
	path := socketPath(t)
	silent := make(chan struct{})
	serve(t, path, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(silent)
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-silent
		cancel()
	}()
	if _, err := control.Ask(ctx, path, false); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}
