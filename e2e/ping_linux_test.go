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
			t.Run(strconv.Itoa(size), func(t *testing.T) { ping(t, exec.Command, 5, size) })
		}
		if all := n.drops.all(); len(all) > 0 {
			t.Errorf("packets were dropped: %v", all)
		}
	})
}

// ping sends count echo requests of size octets and wants an answer to each.
// ping's receive buffer holds few large replies, and it loses some where it
// has to wait for a processor; so it goes on until it has count of them, which
// is what a deadline makes it do, and sends the next one not before it has the
// reply to the last (-A). It compares what comes back with what it sent.
func ping(t *testing.T, command func(string, ...string) *exec.Cmd, count, size int) {
	t.Helper()
	cmd := command("ping", "-6", "-n", "-A", "-c", strconv.Itoa(count), "-w", "60", "-s", strconv.Itoa(size), stackAddr.String())
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
