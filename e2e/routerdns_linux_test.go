package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/v6stack/v6stack/internal/wire"
)

// TestRouterDNS asks a DNS server at one station from the other, over UDP, for
// what takes three fragments to answer.
func TestRouterDNS(t *testing.T) {
	needTool(t, "knotd")
	needTool(t, "kdig")
	for _, mtus := range pairs {
		t.Run(fmt.Sprintf("mtus=%d,%d", mtus.a, mtus.b), func(t *testing.T) {
			_, a, b := startPair(t, mtus.a, mtus.b, nil)
			startKnot(t, a, b)
			a.wire.drain(t)
			b.wire.drain(t)
			kdig(t, a, b.addr())
			_, received := b.wire.drain(t)
			if got := countOf(between(received, a.addr(), b.addr()), wire.UDPProtocol); got != 1 {
				t.Errorf("%d datagrams came to the server: want one question", got)
			}
			_, received = a.wire.drain(t)
			if got := countOf(between(received, b.addr(), a.addr()), wire.FragmentHeader); got < 3 {
				t.Errorf("%d fragments came back: want at least 3", got)
			}
		})
	}
}

// records is how many TXT records of 240 octets the answer has.
const records = 16

// startKnot starts Knot DNS at a station and waits until another one reaches
// it. It ends with the test.
func startKnot(t *testing.T, client, server *station) {
	t.Helper()
	config := configureKnot(t, server.addr())
	var log bytes.Buffer
	cmd := exec.Command("knotd", "--config", config)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	server.inside(t, func() {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	})
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		await(t, "end of knotd", ended)
		if t.Failed() {
			t.Logf("%v:\n%s", cmd.Args, log.String())
		}
	})
	awaitService(t, client, netip.AddrPortFrom(server.addr(), 53), ended)
}

// configureKnot writes down a configuration with one zone and returns its path.
func configureKnot(t *testing.T, address netip.Addr) string {
	t.Helper()
	directory := t.TempDir()
	var zone strings.Builder
	zone.WriteString("@ 60 SOA ns.v6stack.test. host.v6stack.test. 1 60 60 600 60\n@ 60 NS ns\nns 60 AAAA " + address.String() + "\n")
	for i := range records {
		fmt.Fprintf(&zone, "big 60 TXT \"%s\"\n", strings.Repeat(fmt.Sprintf("%02d.", i), 80))
	}
	writeFile(t, filepath.Join(directory, "v6stack.test.zone"), zone.String())
	config := filepath.Join(directory, "knot.conf")
	writeFile(t, config, fmt.Sprintf(`
server:
    rundir: %[1]q
    listen: "%[2]v@53"
    udp-max-payload: 4096
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: %[1]q
    journal-db-max-size: 10M
    kasp-db-max-size: 10M
    timer-db-max-size: 10M
zone:
  - domain: v6stack.test
    storage: %[1]q
    file: v6stack.test.zone
    journal-content: none
`, directory, address))
	return config
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// awaitService waits until a connection to a service can be made.
func awaitService(t *testing.T, from *station, service netip.AddrPort, ended <-chan struct{}) {
	t.Helper()
	for end := deadline(); ; {
		var conn net.Conn
		var err error
		from.inside(t, func() { conn, err = net.DialTimeout("tcp6", service.String(), time.Until(end)) })
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatal("the service has ended")
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

var kdigReceived = regexp.MustCompile(`;; Received (\d+) B`)

// kdig asks a server, over UDP, and checks the answer.
func kdig(t *testing.T, from *station, server netip.Addr) {
	t.Helper()
	cmd := exec.Command("kdig", "+notcp", "+ignore", "+bufsize=4096", "+timeout=60", "+retry=0",
		"@"+server.String(), "big.v6stack.test", "TXT")
	var output []byte
	var err error
	from.inside(t, func() { output, err = cmd.CombinedOutput() })
	text := string(output)
	received := kdigReceived.FindStringSubmatch(text)
	if err != nil || received == nil || !strings.Contains(text, "status: NOERROR") || !strings.Contains(text, "(UDP)") {
		t.Fatalf("%v: %v:\n%s", cmd.Args, err, text)
	}
	if size, _ := strconv.Atoi(received[1]); size < 4000 {
		t.Errorf("an answer of %d octets: want at least 4000:\n%s", size, text)
	}
	if got := strings.Count(text, "TXT\t\""); got != records {
		t.Errorf("%d records: want %d:\n%s", got, records, text)
	}
}
