package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/spf13/pflag"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// patience bounds what would hang for ever if the code were wrong.
const patience = 60 * time.Second

// readiness is a standard output that tells when the program is ready.
type readiness struct {
	lockedBuffer
	ready chan struct{}
}

func (r *readiness) Write(p []byte) (int, error) {
	if string(p) == "ready\n" {
		close(r.ready)
	}
	return r.lockedBuffer.Write(p)
}

// startRun does what "run" does with args, on a link in memory, and returns
// the host at its other end, and what ends the run and returns its error.
func startRun(t *testing.T, args ...string) (host *stack.Stack, end func() error) {
	t.Helper()
	var flags runFlags
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	flags.register(set)
	if err := set.Parse(append([]string{"--addr=fd00:6::2/64", "--addr=fd00:6::3/64"}, args...)); err != nil {
		t.Fatal(err)
	}
	cfg, err := flags.config(set)
	if err != nil {
		t.Fatal(err)
	}
	near, far := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", uint32(flags.mtu.value))
	host, err = stack.New(stack.Config{Links: []stack.LinkConfig{
		{Name: "wire", Endpoint: near, Addresses: []netip.Prefix{netip.MustParsePrefix("fd00:6::1/64")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stdout := &readiness{ready: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- runOn(ctx, far, &flags, cfg, stdout) }()
	select {
	case <-stdout.ready:
	case err := <-ended:
		t.Fatalf("ended before it was ready: %v", err)
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	end = func() error {
		cancel()
		err := <-ended
		host.Close()
		if got := stdout.String(); got != "ready\n" {
			t.Errorf("standard output %q, want the line ready", got)
		}
		return err
	}
	return host, end
}

func TestRunEcho(t *testing.T) {
	host, end := startRun(t, "--echo=7")
	for _, address := range []string{"[fd00:6::2]:7", "[fd00:6::3]:7"} {
		for _, size := range []int{0, 1, 1452, 1453, 8000, 65527} {
			c := dialHost(t, host, "udp", address)
			if _, err := c.Write(wire.Payload(size)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 1<<16)
			n, err := c.Read(got)
			if err != nil || !bytes.Equal(got[:n], wire.Payload(size)) {
				t.Errorf("UDP %s: %d octets of %d, error %v", address, n, size, err)
			}
			c.Close()
		}
		c := dialHost(t, host, "tcp", address)
		want := wire.Payload(256 << 10)
		go func() {
			_, _ = c.Write(want)
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
		}()
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
			t.Errorf("TCP %s: %d octets of %d, error %v", address, len(got), len(want), err)
		}
		c.Close()
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// dialHost dials from the host; the connection has a deadline.
func dialHost(t *testing.T, host *stack.Stack, network, address string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := host.DialContext(ctx, network, address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// Without --echo nobody is at the port, and open connections do not keep the
// program from ending.
func TestRunEnds(t *testing.T) {
	host, end := startRun(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := host.DialContext(ctx, "tcp", "[fd00:6::2]:7"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("dial: %v, want a refusal", err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	host, end = startRun(t, "--echo=7")
	for range 3 {
		c := dialHost(t, host, "tcp", "[fd00:6::2]:7")
		if _, err := c.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// The capture has fragments on its first interface, the datagram on its
// second, and the echo's fragments on the first again.
func TestRunPcap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.pcapng")
	host, end := startRun(t, "--echo=7", "--pcap="+path)
	c := dialHost(t, host, "udp", "[fd00:6::2]:7")
	if _, err := c.Write(wire.Payload(4000)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1<<16)); n != 4000 {
		t.Fatalf("%d octets came back, error %v", n, err)
	}
	c.Close()
	if err := end(); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := pcapgo.NewNgReader(file, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for {
		packet, info, err := reader.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		iface, err := reader.Interface(info.InterfaceIndex)
		if err != nil {
			t.Fatal(err)
		}
		// The next header says whether it is a fragment, the last octet of
		// the source who sent it.
		got.WriteString(iface.Name + map[byte]string{44: " fragment", 17: " UDP"}[packet[6]] + map[byte]string{1: " in", 2: " out"}[packet[23]] + "\n")
	}
	want := strings.Repeat("wire fragment in\n", 3) + "reassembled UDP in\n" + strings.Repeat("wire fragment out\n", 3)
	if got.String() != want {
		t.Errorf("the capture has\n%swant\n%s", got.String(), want)
	}
}

// What is wrong only when it is tried.
func TestRunFails(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent", "run.pcapng")
	for _, test := range []struct {
		args   []string
		status int
		want   []string
	}{
		{[]string{"--addr=fd00:6::2/64", "--pcap=" + absent}, exitFailure, []string{"--pcap", absent}},
		{[]string{"--addr=fd00:6::2/64", "--addr=fd00:6::2/64"}, exitUsage, []string{"--addr", "fd00:6::2/64", "twice"}},
		{[]string{"--addr=ff02::1/64"}, exitUsage, []string{"--addr", "ff02::1/64", "unicast"}},
	} {
		var flags runFlags
		set := pflag.NewFlagSet("run", pflag.ContinueOnError)
		flags.register(set)
		if err := set.Parse(test.args); err != nil {
			t.Fatal(err)
		}
		cfg, err := flags.config(set)
		if err != nil {
			t.Fatal(err)
		}
		far, _ := pipe.New("", "", 1500)
		err = runOn(context.Background(), far, &flags, cfg, io.Discard)
		if exitStatus(err) != test.status {
			t.Errorf("%v: status %d of error %v, want %d", test.args, exitStatus(err), err, test.status)
		}
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: error %v does not name %q", test.args, err, want)
			}
		}
	}
}

// A namespace that is not there is named.
func TestRunNoNamespace(t *testing.T) {
	got := executed(t.Context(), "run", "--addr=fd00:6::2/64", "--netns=v6stack-no-such-namespace")
	if got.status == exitOK || !strings.Contains(got.stderr, "v6stack-no-such-namespace") || got.stdout != "" {
		t.Errorf("%+v: want an error that names the namespace", got)
	}
}

func TestReassemblyFlags(t *testing.T) {
	for _, test := range []struct {
		args      []string
		high, low uint64
	}{
		{nil, 4 << 20, 3 << 20},
		{[]string{"--frag-high=8MiB"}, 8 << 20, 6 << 20},
		{[]string{"--frag-high=1KiB"}, 1024, 768},
		{[]string{"--frag-high=1"}, 1, 1},
		{[]string{"--frag-low=1MiB"}, 4 << 20, 1 << 20},
		{[]string{"--frag-high=2MiB", "--frag-low=2MiB"}, 2 << 20, 2 << 20},
	} {
		var flags reassemblyFlags
		set := pflag.NewFlagSet("run", pflag.ContinueOnError)
		flags.register(set)
		if err := set.Parse(append(test.args, "--overlap=linux", "--frag-timeout=1m30s")); err != nil {
			t.Fatal(err)
		}
		zone, err := flags.zone(set)
		if err != nil || zone.High != test.high || zone.Low != test.low || zone.Policy.String() != "linux" || zone.Timeout != 90*time.Second {
			t.Errorf("%v: %+v, error %v; want high %d, low %d", test.args, zone, err, test.high, test.low)
		}
	}
}
