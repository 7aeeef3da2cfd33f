package e2e

import (
	"errors"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// makePersistent makes a TUN as an administrator does, for a program to take
// over; it goes with the test.
func makePersistent(t *testing.T, device string, options ...string) {
	t.Helper()
	needTool(t, "ip")
	args := append([]string{"tuntap", "add", "dev", device, "mode", "tun"}, options...)
	if output, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v:\n%s", args, err, output)
	}
	t.Cleanup(func() {
		link, err := netlink.LinkByName(device)
		if err == nil {
			err = netlink.LinkDel(link)
		}
		if err != nil {
			t.Errorf("delete %s: %v", device, err)
		}
	})
}

// TestRunPersistent has the program take over a TUN that is there already, again
// and again with other flags. It takes the queues that the TUN has, and leaves
// nothing behind that the next one would stumble over.
func TestRunPersistent(t *testing.T) {
	for _, test := range []struct {
		name    string
		options []string
		runs    []persistentRun
	}{
		{"one queue", nil, []persistentRun{
			{nil, 1, true}, {[]string{"--offload=off"}, 1, false}, {[]string{"--queues", "1"}, 1, true},
			{[]string{"--backend", "water"}, 1, false}, {nil, 1, true},
		}},
		{"many queues", []string{"multi_queue"}, []persistentRun{
			{[]string{"--queues", "2"}, 2, true}, {[]string{"--offload=off", "--queues", "3"}, 3, false},
			{[]string{"--queues", "1"}, 1, true}, {nil, 0, true},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			device := deviceName()
			makePersistent(t, device, test.options...)
			for _, run := range test.runs {
				t.Run(strings.Join(run.flags, " "), func(t *testing.T) { run.check(t, device) })
			}
		})
	}
}

// A persistentRun is flags of the program, and what they make of a TUN; 0 queues
// are any number.
type persistentRun struct {
	flags   []string
	queues  int
	offload bool
}

func (r persistentRun) check(t *testing.T, device string) {
	program := startRun(t, runFlags(device, r.flags...)...)
	program.awaitNotices(t, ": tun "+device+": ", 1)
	noted := runNoted.FindStringSubmatch(program.stderr.String())
	if queues, _, _ := strings.Cut(noted[2], " "); r.queues != 0 && queues != strconv.Itoa(r.queues) {
		t.Errorf("%s: want %d queues", noted[2], r.queues)
	}
	if strings.Contains(noted[2], "tso6") != r.offload {
		t.Errorf("%s: want offloads %v", noted[2], r.offload)
	}
	if err := echoStream(within(t), 1<<20); err != nil {
		t.Error(err)
	}
	host := openHost(t)
	for _, size := range []int{100, 1500, 20000} {
		echoDatagram(t, host, size)
	}
	program.stop(t, syscall.SIGTERM)
	if _, err := net.InterfaceByName(device); err != nil {
		t.Fatalf("the persistent device: %v", err)
	}
	forgetHost(t, device)
}

// forgetHost takes the host's address from a persistent device.
func forgetHost(t *testing.T, device string) {
	t.Helper()
	link, err := netlink.LinkByName(device)
	if err != nil {
		t.Fatal(err)
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: hostAddr.AsSlice(), Mask: net.CIDRMask(hostPrefix.Bits(), 128)}}
	if err := netlink.AddrDel(link, address); err != nil {
		t.Fatal(err)
	}
}

// TestRunPersistentRefused asks for more queues than a TUN has.
func TestRunPersistentRefused(t *testing.T) {
	device := deviceName()
	makePersistent(t, device)
	output, err := exec.Command(programPath(t), append([]string{"run"}, runFlags(device, "--queues", "2")...)...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(output), "one queue") {
		t.Errorf("%v, want status 1 and a message about queues:\n%s", err, output)
	}
}
