package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"

	"github.com/v6stack/v6stack/internal/control"
	"github.com/v6stack/v6stack/stack"
)

// An observed stack is one that can be looked at.
type observed struct {
	path    string
	notices *lockedBuffer
	end     func()
}

// observe starts a stack in memory with a link "wire" and lets args, as of
// "run", say who may look at it. The error is that of starting to.
func observe(t *testing.T, args ...string) (*observed, error) {
	t.Helper()
	var flags observeFlags
	o := &observed{notices: new(lockedBuffer)}
	cmd := &cobra.Command{Use: "run"}
	cmd.SetErr(o.notices)
	flags.register(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	o.path = flags.control.path
	near, _ := pipe.New("", "", 1500)
	s, err := stack.New(stack.Config{Links: []stack.LinkConfig{{Name: "wire", Endpoint: near}}})
	if err != nil {
		t.Fatal(err)
	}
	observation, err := flags.start(s)
	if err != nil {
		s.Close()
		return nil, err
	}
	o.end = sync.OnceFunc(func() {
		if err := observation.close(); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	t.Cleanup(o.end)
	return o, nil
}

// startObserved starts a stack that can be asked at a socket of its own.
func startObserved(t *testing.T, args ...string) *observed {
	t.Helper()
	path := filepath.Join(shortFolder(t), "v6stack.sock")
	o, err := observe(t, append([]string{"--control=" + path}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Status asks what runs; the socket goes with it.
func TestStatus(t *testing.T) {
	o := startObserved(t)
	for args, want := range map[string]string{
		"":               "wire",
		"--flows":        "PROTOCOL",
		"--json":         "\n  \"links\": [",
		"--json --flows": "\"flows\": []",
	} {
		got := executed(t.Context(), append([]string{"status", "--control=" + o.path}, strings.Fields(args)...)...)
		if got.status != exitOK || got.stderr != "" || !strings.Contains(got.stdout, want) {
			t.Errorf("%q: %+v, want %q", args, got, want)
		}
		if !strings.Contains(args, "json") {
			continue
		}
		var snapshot control.Snapshot
		if err := json.Unmarshal([]byte(got.stdout), &snapshot); err != nil || snapshot.Version != programVersion() ||
			snapshot.Links[0].Name != "wire" || snapshot.Zones[0].Name != stack.DefaultZone || snapshot.Zones[0].Memory.High == 0 {
			t.Errorf("%q: error %v, got\n%s", args, err, got.stdout)
		}
	}
	if got := o.notices.String(); got != "" {
		t.Errorf("notices %q, want none", got)
	}
	o.end()
	if _, err := os.Lstat(o.path); err == nil {
		t.Error("the socket is there after the end")
	}
}

// A path that was asked for must be had; the one that is there by itself need
// not.
func TestControlInUse(t *testing.T) {
	first := startObserved(t)
	if _, err := observe(t, "--control="+first.path); exitStatus(err) != exitFailure || !strings.Contains(err.Error(), first.path) {
		t.Errorf("error %v, want one that names %s", err, first.path)
	}
	t.Setenv("XDG_RUNTIME_DIR", filepath.Dir(first.path))
	second, err := observe(t)
	if err != nil {
		t.Fatal(err)
	}
	if got := second.notices.String(); !strings.HasPrefix(got, "run: ") || !strings.Contains(got, first.path) || strings.Count(got, "\n") != 1 {
		t.Errorf("notices %q, want a line that names %s", got, first.path)
	}
	second.end()
	if got := executed(t.Context(), "status"); got.status != exitOK {
		t.Errorf("the first does not answer any more: %+v", got)
	}
	first.end()
	third, err := observe(t)
	if err != nil || third.notices.String() != "" {
		t.Fatalf("error %v, notices %q", err, third.notices.String())
	}
	if got := executed(t.Context(), "status"); got.status != exitOK {
		t.Errorf("the default path does not answer: %+v", got)
	}
}

// None is no socket.
func TestControlNone(t *testing.T) {
	folder := shortFolder(t)
	t.Setenv("XDG_RUNTIME_DIR", folder)
	if _, err := observe(t, "--control=none"); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 0 {
		t.Errorf("%v are there, error %v", entries, err)
	}
}

var metricsNotice = regexp.MustCompile(`^run: metrics at (http://127\.0\.0\.1:\d+/metrics)\n$`)

// Metrics are where the notice says, as long as the stack is there, and only
// on loopback.
func TestMetrics(t *testing.T) {
	o := startObserved(t, "--metrics=:0")
	notice := metricsNotice.FindStringSubmatch(o.notices.String())
	if notice == nil {
		t.Fatalf("notices %q, want the address of the metrics", o.notices.String())
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(notice[1])
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("status %d, error %v", response.StatusCode, err)
	}
	for _, want := range []string{
		"\nv6stack_link_up{link=\"wire\",zone=\"default\"} 1\n",
		"\nv6stack_reassembly_memory_high_threshold_bytes{zone=\"default\"} 4.194304e+06\n",
		"\nv6stack_build_info{", "version=\"" + programVersion() + "\"",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	o.end()
	if _, err := client.Get(notice[1]); err == nil {
		t.Error("answered after the end")
	}
}

// An address that cannot be had is an error that names it, and leaves no
// socket.
func TestMetricsInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	path := filepath.Join(shortFolder(t), "v6stack.sock")
	if _, err := observe(t, "--control="+path, "--metrics="+address); exitStatus(err) != exitFailure || !strings.Contains(err.Error(), "--metrics "+address) {
		t.Errorf("error %v, want one that names %s", err, address)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is there")
	}
}
