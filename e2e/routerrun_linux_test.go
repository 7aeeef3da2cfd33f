package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/wire"
)

// A routerRun is the program as a router between stations.
type routerRun struct {
	*program
	file  string
	links string // the part of the file that describes them
}

// startRouterRun starts the program with links to stations, which come with
// their TUNs, and what else the file says.
func startRouterRun(t *testing.T, more string, configs ...stationConfig) (r *routerRun, stations []*station) {
	t.Helper()
	r = &routerRun{file: filepath.Join(t.TempDir(), "router.toml")}
	for _, cfg := range configs {
		s := newStation(t, cfg)
		stations = append(stations, s)
		r.links += s.table()
	}
	writeFile(t, r.file, r.links+more)
	r.program = startRun(t, "--config", r.file)
	for _, s := range stations {
		r.awaitNotices(t, ": tun "+s.name+": ", 1)
		s.watch(t)
	}
	return r, stations
}

// table returns the table of the link to the station.
func (s *station) table() string {
	zone := ""
	if s.zone != "" {
		zone = fmt.Sprintf("zone = %q\n", s.zone)
	}
	return fmt.Sprintf(`
[[link]]
name = %[1]q
netns = %[1]q
host_addresses = ["%[2]v"]
host_routes = ["::/0"]
addresses = ["%[3]v"]
mtu = %[4]d
backend = "%[5]v"
offload = %[6]t
queues = %[7]d
%[8]s`, s.name, s.address, s.router, s.mtu, s.kind.config.Backend, !s.kind.config.NoOffload, s.kind.config.Queues, zone)
}

// reload has the program read the file with more behind its links, and waits
// until it says what became of that.
func (r *routerRun) reload(t *testing.T, more, outcome string) {
	t.Helper()
	writeFile(t, r.file, r.links+more)
	before := strings.Count(r.stderr.String(), outcome)
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.awaitNotices(t, outcome, before+1)
}

const (
	reloaded = "reloaded "
	refused  = "reload refused"
)

// TestRouterRun has the program do what the library's tests ask of a router.
func TestRouterRun(t *testing.T) {
	needTool(t, "ping")
	kinds := []struct{ a, b kind }{{}, {plain, offload}, {queues, water}}
	for i, mtus := range pairs {
		k := kinds[i]
		t.Run(fmt.Sprintf("mtus=%d,%d/%s,%s", mtus.a, mtus.b, k.a.name, k.b.name), func(t *testing.T) {
			r, stations := startRouterRun(t, "",
				stationConfig{subnet: 0xa, mtu: mtus.a, kind: k.a}, stationConfig{subnet: 0xb, mtu: mtus.b, kind: k.b})
			a, b := stations[0], stations[1]
			learnPath(t, a, b)
			for _, size := range []int{56, 8000, 65000} {
				pingAcross(t, a, b, 2, size)
			}
			socket := b.dial(t, a.serve(t, echoPort))
			for _, size := range mixed {
				if err := exchange(socket, wire.Payload(size)); err != nil {
					t.Fatal(err)
				}
			}
			checkPassed(t, a, b, 2*(6+45)+45)
			r.stop(t, syscall.SIGTERM)
			for _, s := range stations {
				s.inside(t, func() { checkGone(t, s.name) })
			}
		})
	}
}

// crossing is what lets packets go from zone red, where a is, to b and answers
// come back.
func crossing(a, b *station) string {
	return fmt.Sprintf(`
[[route]]
to = "%v"
link = %q
zone = "red"

[[route]]
to = "%v"
link = %q
`, b.address.Masked(), b.name, a.address.Masked(), a.name)
}

// rule returns a rule from zone red to the default zone about a UDP port.
func rule(port int, action string) string {
	return fmt.Sprintf(`
[[rule]]
from = "zone:red"
to = "zone:default"
protocol = "udp"
destination_ports = ["%d"]
action = %q
`, port, action)
}

// TestRouterRunReload changes the file under load. A good file takes effect, a
// bad one changes nothing; in neither case is anything of the load lost.
func TestRouterRunReload(t *testing.T) {
	r, stations := startRouterRun(t, "", stationConfig{subnet: 0xa, mtu: 1500, zone: "red"}, stationConfig{subnet: 0xb, mtu: 1500})
	a, b := stations[0], stations[1]
	base := crossing(a, b) + rule(echoPort, "allow")
	r.reload(t, base, reloaded)
	other := b.serve(t, echoPort+1)
	load := startLoad(t, a.dial(t, b.serve(t, echoPort)), 4000)
	for range 5 {
		load.await(2)
		r.reload(t, base+rule(echoPort+1, "allow"), reloaded)
		if err := exchange(a.dial(t, other), wire.Payload(4000)); err != nil {
			t.Errorf("with a rule that allows it: %v", err)
		}
		r.reload(t, base+rule(echoPort, "allow it"), refused)
		if err := exchange(a.dial(t, other), wire.Payload(4000)); err != nil {
			t.Errorf("after a bad file: %v", err)
		}
		r.reload(t, base+rule(echoPort+1, "reject"), reloaded)
		if err := exchange(a.dial(t, other), wire.Payload(4000)); !errors.Is(err, unix.EACCES) {
			t.Errorf("with a rule that rejects it: %v, want %v", err, unix.EACCES)
		}
	}
	load.finish()
	r.stop(t, syscall.SIGTERM)
}

// TestRouterRunDisappearing deletes a TUN while the program runs. The other
// links go on, and the TUN comes back.
func TestRouterRunDisappearing(t *testing.T) {
	r, stations := startRouterRun(t, "",
		stationConfig{subnet: 0xa, mtu: 1500}, stationConfig{subnet: 0xb, mtu: 1500}, stationConfig{subnet: 0xc, mtu: 1500})
	a, b, c := stations[0], stations[1], stations[2]
	load := startLoad(t, a.dial(t, b.serve(t, echoPort)), 4000)
	service := c.serve(t, echoPort)
	if err := exchange(a.dial(t, service), wire.Payload(4000)); err != nil {
		t.Fatal(err)
	}
	c.changeTUN(t, "delete", netlink.LinkDel)
	r.awaitNotices(t, fmt.Sprintf("link %q is down", c.name), 1)
	load.await(10)
	r.awaitNotices(t, fmt.Sprintf("link %q is up", c.name), 1)
	load.await(10)
	if err := exchange(a.dial(t, service), wire.Payload(4000)); err != nil {
		t.Errorf("after the TUN came back: %v", err)
	}
	load.finish()
	r.stop(t, syscall.SIGTERM)
}

// TestRouterRunRefused starts the program with files that it must not take.
func TestRouterRunRefused(t *testing.T) {
	good := newStation(t, stationConfig{subnet: 0xa, mtu: 1500})
	absent := *good
	absent.name = "v6e-absent"
	for _, test := range []struct{ name, content, want string }{
		{"unknown key", good.table() + "colour = \"red\"\n", ":12:1: "},
		{"no such zone", good.table() + rule(1, "allow"), ":14:"},
		{"no such namespace", absent.table(), ":4:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "router.toml")
			writeFile(t, file, test.content)
			output, err := exec.Command(programPath(t), "run", "--config", file).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(output), file+test.want) {
				t.Errorf("%v, want status 2 and a message at %s:\n%s", err, test.want, output)
			}
			good.inside(t, func() { checkGone(t, good.name) })
		})
	}
}
