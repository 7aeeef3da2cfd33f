package e2e

import (
	"io"
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

	"golang.org/x/net/ipv6"

	ournetns "github.com/v6stack/v6stack/internal/netns"
	"github.com/v6stack/v6stack/internal/wire"
)

// runFlags are those of a run whose TUN is called device.
func runFlags(device string, more ...string) []string {
	return append([]string{
		"--tun", device,
		"--host-addr", hostPrefix.String(),
		"--addr", stackPrefix.String(),
		"--echo", strconv.Itoa(echoPort),
	}, more...)
}

// TestRun does with the program what its documentation shows.
func TestRun(t *testing.T) {
	for _, k := range programKinds {
		t.Run(k.name, func(t *testing.T) {
			const device = "v6s0"
			program := startRun(t, runFlags(device, k.flags()...)...)
			checkNoted(t, program, device, k)
			t.Run("ping", func(t *testing.T) {
				needTool(t, "ping")
				ping(t, 20, 65000, "-i", "0.01")
			})
			t.Run("udp", func(t *testing.T) {
				host := openHost(t)
				for _, size := range append(sizes(1500), 65527) {
					echoDatagram(t, host, size)
				}
			})
			t.Run("tcp", func(t *testing.T) {
				if err := echoStream(within(t), 1<<20); err != nil {
					t.Error(err)
				}
			})
			program.stop(t, syscall.SIGTERM)
			checkGone(t, device)
		})
	}
}

// checkNoted checks that the program says what its device and the kernel agreed
// on.
func checkNoted(t *testing.T, p *program, device string, k kind) {
	t.Helper()
	p.awaitNotices(t, ": tun "+device+": ", 1)
	stderr := p.stderr.String()
	noted := runNoted.FindStringSubmatch(stderr)
	if noted == nil || noted[1] != device {
		t.Fatalf("no features of %s on standard error:\n%s", device, stderr)
	}
	features := strings.TrimSuffix(noted[2], ", uso")
	if want := k.features.String(); k.name != "default" && features != want {
		missing(t, "features of the kernel: %s, want %s", features, want)
	}
}

var runNoted = regexp.MustCompile(`(?m)^v6stack run: tun (.*): (\d+ queues?.*)$`)

// TestRunTimeout sends the halves of two datagrams, one without and one with
// the first fragment, and waits for the error owed to the second.
func TestRunTimeout(t *testing.T) {
	const device, timeout = "v6s8", 2 * time.Second
	program := startRun(t, runFlags(device, "--frag-timeout", timeout.String())...)
	w, socket := openTap(t, device), openICMP(t, ipv6.ICMPTypeTimeExceeded)
	datagram := toStack.UDP(9, echoPort, wire.Payload(2000))
	headless := toStack.Split(1, wire.UDPProtocol, datagram, 1024)[1]
	tailless := toStack.Split(2, wire.UDPProtocol, datagram, 1024)[0]
	start := time.Now()
	w.send(t, headless, tailless)
	packets := w.until(t, "Time Exceeded", isError(3))
	if elapsed := time.Since(start); elapsed < timeout {
		t.Errorf("given up after %v: want at least %v", elapsed, timeout)
	}
	packets = append(packets, marked(t, w)...)
	checkErrors(t, packets, icmpError{3, 1, 0, tailless})
	checkKernelSaw(t, socket, tailless)
	program.stop(t, syscall.SIGTERM)
}

// TestRunInterrupt ends the program as a terminal does, with traffic on its
// way.
func TestRunInterrupt(t *testing.T) {
	const device = "v6s1"
	program := startRun(t, runFlags(device, "--mtu", "1280")...)
	traffic := startTraffic(t, device)
	defer traffic.stop()
	await(t, "traffic", traffic.echoed)
	program.stop(t, syscall.SIGINT)
	checkGone(t, device)
}

// TestRunNetNS has the host side of the TUN in a named namespace.
func TestRunNetNS(t *testing.T) {
	needTool(t, "ping")
	const device, namespace = "v6s2", "v6s-host"
	newNamespace(t, namespace)
	program := startRun(t, runFlags(device, "--netns", namespace)...)
	checkGone(t, device)
	err := ournetns.Do(namespace, func() error {
		ping(t, 5, 8000, "-A")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	program.stop(t, syscall.SIGTERM)
	inNamespace(t, namespace, func() { checkGone(t, device) })
}

// TestRunQuiet leaves a datagram incomplete where no errors are wanted.
func TestRunQuiet(t *testing.T) {
	const device = "v6s3"
	// A marker behind fragments is behind them on a single queue only.
	program := startRun(t, runFlags(device, "--frag-timeout", "100ms", "--no-icmp-errors", "--queues", "1")...)
	w, host := openTap(t, device), openHost(t)
	payload := wire.Payload(1000)
	fragments := host.datagram(1, payload, 512)
	// The late half finds nothing to complete any more, as soon as the other
	// has timed out: only then is there no echo.
	for timedOut, pause := false, 100*time.Millisecond; !timedOut; pause *= 2 {
		w.send(t, fragments[0])
		time.Sleep(pause)
		w.send(t, fragments[1], host.whole([]byte("marker")))
		echo, err := host.next(deadline())
		if err != nil {
			t.Fatal(err)
		}
		if timedOut = string(echo) == "marker"; !timedOut {
			host.expect(t, []byte("marker"))
		}
	}
	checkErrors(t, marked(t, w))
	program.stop(t, syscall.SIGTERM)
}

// TestRunOverlap sends a datagram of whose fragments one is a duplicate and
// one lies in others: each policy takes other ones of the two for an offence.
func TestRunOverlap(t *testing.T) {
	duplicate := regular(0, 1, 1, 2, 3, 4)
	contained := join(regular(0, 1), []piece{{from: 0, to: 2 * unit}}, regular(2, 3, 4))
	for _, test := range []struct {
		policy               string
		duplicate, contained bool
	}{{"rfc8200", true, false}, {"rfc5722", false, false}, {"linux", true, true}} {
		t.Run(test.policy, func(t *testing.T) {
			const device = "v6s6"
			program := startRun(t, runFlags(device, "--overlap", test.policy)...)
			w, host := openTap(t, device), openHost(t)
			checkEcho(t, w, host, 1, duplicate, test.duplicate)
			checkEcho(t, w, host, 2, contained, test.contained)
			program.stop(t, syscall.SIGTERM)
		})
	}
}

// TestRunRoute has an address of the stack that only a route leads to.
func TestRunRoute(t *testing.T) {
	program := startRun(t, runFlags("v6s7", "--addr", "fd00:7::2/128", "--host-route", "fd00:7::/64")...)
	if err := echoStreamAt(within(t), netip.MustParseAddrPort("[fd00:7::2]:7"), 1<<16); err != nil {
		t.Error(err)
	}
	program.stop(t, syscall.SIGTERM)
}

// TestSocat has socat talk to the program.
func TestSocat(t *testing.T) {
	needTool(t, "socat")
	program := startRun(t, runFlags("v6s4")...)
	for _, test := range []struct {
		network string
		size    int
	}{{"UDP6", 60000}, {"TCP6", 1 << 20}} {
		t.Run(test.network, func(t *testing.T) {
			persist(t, "socat", func(deadline time.Time) error {
				return socat(t, test.network, wire.Payload(test.size), deadline)
			})
		})
	}
	program.stop(t, syscall.SIGTERM)
}

// socat sends payload by socat, which reads it from a file: of a pipe it might
// read half a datagram.
func socat(t *testing.T, network string, payload []byte, deadline time.Time) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(path, payload, 0o600); err != nil {
		return err
	}
	input, err := os.Open(path)
	if err != nil {
		return err
	}
	defer input.Close()
	output, socatsOutput, err := os.Pipe()
	if err != nil {
		return err
	}
	defer output.Close()
	address := network + ":[" + stackAddr.String() + "]:" + strconv.Itoa(echoPort)
	if network == "UDP6" {
		address += ",shut-none"
	}
	cmd := exec.Command("socat", "-b", "65536", "-t", "60", "STDIO", address)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, socatsOutput, os.Stderr
	err = cmd.Start()
	socatsOutput.Close()
	if err != nil {
		return err
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	output.SetReadDeadline(deadline)
	echo := make([]byte, len(payload))
	if _, err := io.ReadFull(output, echo); err != nil {
		return err
	}
	return same(echo, payload)
}
