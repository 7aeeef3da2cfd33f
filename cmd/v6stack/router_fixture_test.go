package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/jack"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// A street is where the routers of tests open their devices: each device leads
// to a host in memory, which echoes on ports 7 and 19.
type street struct {
	mu      sync.Mutex
	hosts   map[string]*stack.Stack // by the device's name; guarded by mu
	opened  []string                // names, in order; guarded by mu
	refused string                  // a name; guarded by mu
}

var errRefused = errors.New("refused by the street")

// A streetDevice is a device of a street.
type streetDevice struct {
	street   *street
	cfg      tun.Config
	endpoint *pipe.Endpoint
	services []*echoService
}

// open opens a device. A name that is there already is refused, as by a kernel.
func (s *street) open(cfg tun.Config) (jack.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == cfg.Name || s.hosts[cfg.Name] != nil {
		return nil, errRefused
	}
	near, far := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", uint32(cfg.MTU))
	host := stack.Config{Links: []stack.LinkConfig{{Name: cfg.Name, Endpoint: near, Addresses: cfg.HostAddresses}}}
	for _, prefix := range cfg.HostRoutes {
		host.Routes = append(host.Routes, stack.Route{Prefix: prefix, Link: cfg.Name})
	}
	h, err := stack.New(host)
	if err != nil {
		return nil, err
	}
	d := &streetDevice{street: s, cfg: cfg, endpoint: far}
	for _, port := range []int{7, 19} {
		service, err := serveEcho(h, cfg.HostAddresses, port)
		if err != nil {
			return nil, errors.Join(err, h.Close())
		}
		d.services = append(d.services, service)
	}
	s.hosts[cfg.Name] = h
	s.opened = append(s.opened, cfg.Name)
	return d, nil
}

func (d *streetDevice) Endpoint() gstack.LinkEndpoint { return d.endpoint }

func (d *streetDevice) MTU() int { return d.cfg.MTU }

func (d *streetDevice) Stats() tun.Stats { return tun.Stats{} }

func (d *streetDevice) Close() error {
	d.street.mu.Lock()
	host := d.street.hosts[d.cfg.Name]
	delete(d.street.hosts, d.cfg.Name)
	d.street.mu.Unlock()
	d.endpoint.Attach(nil)
	for _, service := range d.services {
		service.close()
	}
	return host.Close()
}

// host returns the host behind a device.
func (s *street) host(t *testing.T, device string) *stack.Stack {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hosts[device] == nil {
		t.Fatalf("no host behind %q", device)
	}
	return s.hosts[device]
}

// devices returns the names of the devices that are open, in order.
func (s *street) devices() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.hosts))
}

// took returns which devices were opened since it was last called.
func (s *street) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	opened := s.opened
	s.opened = nil
	return opened
}

// refuse has devices of that name refused from now on.
func (s *street) refuse(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = name
}

// A routerRun is a router that runs in a test.
type routerRun struct {
	*router
	*street
	t       *testing.T
	signals chan os.Signal
	said    chan string
	ended   chan error
	cancel  context.CancelFunc
}

// Write takes what the router says.
func (r *routerRun) Write(p []byte) (int, error) {
	r.said <- string(p)
	return len(p), nil
}

// newRouterRun returns a router that does not run yet.
func newRouterRun(t *testing.T, text string) *routerRun {
	t.Helper()
	r := &routerRun{
		street:  &street{hosts: make(map[string]*stack.Stack)},
		t:       t,
		signals: make(chan os.Signal, 1),
		said:    make(chan string, 100),
		ended:   make(chan error, 1),
	}
	r.router = &router{
		file:    filepath.Join(t.TempDir(), "router.toml"),
		open:    r.street.open,
		reloads: r.signals,
		observe: new(observeFlags),
		notices: log.New(r, "", 0),
	}
	r.write(text)
	return r
}

// startRouter returns a router that runs.
func startRouter(t *testing.T, text string) *routerRun {
	t.Helper()
	r := newRouterRun(t, text)
	stdout := &readiness{ready: make(chan struct{})}
	r.stdout = stdout
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.ended <- r.run(ctx) }()
	select {
	case <-stdout.ready:
	case err := <-r.ended:
		t.Fatalf("ended before it was ready: %v", err)
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	return r
}

// end ends the router and checks that it leaves nothing.
func (r *routerRun) end() {
	r.t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		r.t.Error(err)
	}
	if left := r.devices(); len(left) > 0 {
		r.t.Errorf("devices %q are left", left)
	}
}

// write writes the router's file.
func (r *routerRun) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// reload has the router read another text, and checks that it says what is
// wanted.
func (r *routerRun) reload(text string, want ...string) {
	r.t.Helper()
	r.write(text)
	r.signals <- syscall.SIGHUP
	select {
	case said := <-r.said:
		for _, want := range want {
			if !strings.Contains(said, strings.ReplaceAll(want, "FILE", r.file)) {
				r.t.Errorf("it said %q, want %q", said, want)
			}
		}
	case <-time.After(patience):
		r.t.Fatal("it said nothing")
	}
}

// dial dials UDP from one host to another.
func (r *routerRun) dial(from, to string) net.Conn {
	r.t.Helper()
	conn, err := r.host(r.t, from).DialContext(r.t.Context(), "udp", to)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// echoes checks that a datagram of that size comes back, which it closes conn
// for.
func (r *routerRun) echoes(from, to string, size int) {
	r.t.Helper()
	conn := r.dial(from, to)
	defer conn.Close()
	echoed(r.t, conn, size)
}

// echoed checks that a datagram of that size comes back.
func echoed(t *testing.T, conn net.Conn, size int) {
	t.Helper()
	if _, err := conn.Write(wire.Payload(size)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1<<16)
	if n, err := conn.Read(got); err != nil || !bytes.Equal(got[:n], wire.Payload(size)) {
		t.Fatalf("%v: %d octets of %d came back, error %v", conn.RemoteAddr(), n, size, err)
	}
}

// denied checks that the router denies a datagram. In memory it has done so when
// the sender has sent it.
func (r *routerRun) denied(from, to string) {
	r.t.Helper()
	before := r.drops(stack.Denied)
	conn := r.dial(from, to)
	defer conn.Close()
	if _, err := conn.Write(wire.Payload(100)); err != nil {
		r.t.Fatal(err)
	}
	if n := r.drops(stack.Denied) - before; n != 1 {
		r.t.Errorf("%d datagrams were denied, want 1", n)
	}
}

// drops returns how many packets the router dropped for a reason.
func (r *routerRun) drops(reason stack.DropReason) (n uint64) {
	for _, link := range r.stack.Stats().Links {
		n += link.Drops[reason]
	}
	return n
}

// A house is a link of a file. Its number is in its addresses and makes a network
// namespace, of a kind, of its own.
type house struct {
	name   string
	number int
	more   string // keys
}

// String returns the link's table.
func (h house) String() string {
	return fmt.Sprintf(`[[link]]
name = "%[1]s"
netns = "%[2]s"
host_addresses = ["2001:db8:%[3]d::1/64"]
host_routes = ["::/0"]
addresses = ["2001:db8:%[3]d::ff/64"]
%[4]s
`, h.name, strings.Repeat("./", h.number), h.number, h.more)
}
