package e2e

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/v6stack/v6stack/internal/wire"
)

// TestRouterExample does what examples/two-hosts.sh says can be done.
func TestRouterExample(t *testing.T) {
	needTool(t, "ping")
	needTool(t, "ip")
	twoHosts(t, "up")
	t.Cleanup(func() { twoHosts(t, "down") })
	program := startRun(t, "--config", "../examples/router.toml")
	far := netip.MustParseAddr("2001:db8:b::1")
	inNamespace(t, "hosta", func() {
		pingAt(t, far, 3, 56, "-A")
		pingAt(t, far, 3, 60000, "-A")
	})
	services := netip.AddrPortFrom(far, 8000)
	inNamespace(t, "hostb", func() { serveEchoAt(t, kernelListener{}, services) })
	var socket *net.UDPConn
	inNamespace(t, "hosta", func() {
		var err error
		if socket, err = net.DialUDP("udp6", nil, net.UDPAddrFromAddrPort(services)); err != nil {
			t.Fatal(err)
		}
		if err := echoStreamAt(within(t), services, 1<<18); err != nil {
			t.Error(err)
		}
	})
	defer socket.Close()
	for _, size := range mixed[:2] {
		if err := exchange(socket, wire.Payload(size)); err != nil {
			t.Error(err)
		}
	}
	program.stop(t, syscall.SIGTERM)
}

// twoHosts runs the script of that name.
func twoHosts(t *testing.T, what string) {
	t.Helper()
	cmd := exec.Command("sh", "../examples/two-hosts.sh", what)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/sbin:/usr/sbin")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v:\n%s", cmd.Args, err, output)
	}
}
