package e2e

import (
	"fmt"
	"os/exec"
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

// ping sends echo requests of size octets until it has count replies, each of
// which it compares with what it sent. Its receive buffer holds few large ones,
// and it loses some where it has to wait for a processor: a deadline makes it go
// on. With -A it sends no request before it has the reply to the last.
func ping(t *testing.T, count, size int, pace ...string) {
	t.Helper()
	args := append([]string{"-6", "-n", "-c", strconv.Itoa(count), "-w", "60", "-s", strconv.Itoa(size)}, pace...)
	cmd := exec.Command("ping", append(args, stackAddr.String())...)
	printed, err := cmd.CombinedOutput()
	output := string(printed)
	want := fmt.Sprintf(" %d received", count)
	if err != nil || !strings.Contains(output, want) || strings.Contains(output, "wrong data byte") {
		t.Errorf("%v: %v, want%s:\n%s", cmd.Args, err, want, output)
	}
	if lines := strings.Count(output, fmt.Sprintf("%d bytes from %v", size+8, stackAddr)); lines != count {
		t.Errorf("%d replies of %d octets: want %d:\n%s", lines, size+8, count, output)
	}
}

// needTool skips the test if a program it runs is not installed.
func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		missing(t, "the program %s: %v", name, err)
	}
}
