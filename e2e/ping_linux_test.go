package e2e

import (
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestPing asks the real ping.
func TestPing(t *testing.T) {
	needTool(t, "ping")
	eachLink(t, func(t *testing.T, cfg nodeConfig) {
		n := startNode(t, cfg)
		for _, size := range []int{56, 1400, 8000, 65000} {
			t.Run(strconv.Itoa(size), func(t *testing.T) { ping(t, 5, size, "-A") })
		}
		n.checkClean(t, 5)
	})
}

// ping sends echo requests of size octets until it has count replies or more,
// each of which it compares with what it sent. Its receive buffer holds few
// large ones, and it loses some where it has to wait for a processor: a deadline
// makes it go on. With -A it sends about as fast as replies come.
func ping(t *testing.T, count, size int, pace ...string) {
	t.Helper()
	pingAt(t, stackAddr, count, size, pace...)
}

// pingAt does so to another address.
func pingAt(t *testing.T, address netip.Addr, count, size int, pace ...string) {
	t.Helper()
	args := append([]string{"-6", "-n", "-c", strconv.Itoa(count), "-w", "60", "-s", strconv.Itoa(size)}, pace...)
	cmd := exec.Command("ping", append(args, address.String())...)
	printed, err := cmd.CombinedOutput()
	output := string(printed)
	if err != nil || strings.Contains(output, "wrong data byte") {
		t.Errorf("%v: %v:\n%s", cmd.Args, err, output)
	}
	if replies := strings.Count(output, fmt.Sprintf("%d bytes from %v", size+8, address)); replies < count {
		t.Errorf("%d replies of %d octets: want at least %d:\n%s", replies, size+8, count, output)
	}
	received := pingReceived.FindStringSubmatch(output)
	if received == nil {
		t.Fatalf("%v prints no statistics:\n%s", cmd.Args, output)
	}
	if n, _ := strconv.Atoi(received[1]); n < count {
		t.Errorf("%d replies received: want at least %d:\n%s", n, count, output)
	}
}

var pingReceived = regexp.MustCompile(` (\d+) received`)

// needTool skips the test if a program it runs is not installed.
func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		missing(t, "the program %s: %v", name, err)
	}
}
