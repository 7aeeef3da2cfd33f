package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/sandbox"
)

// TestDemo runs the demonstration as the user who runs the tests, or as root
// of the sandbox.
func TestDemo(t *testing.T) {
	output, err := exec.CommandContext(within(t), programPath(t), "demo", "--require-kernel").CombinedOutput()
	checkDemo(t, string(output), err, "")
}

// TestDemoAsNobody runs the demonstration as an ordinary user, with the device
// open to everybody, to root alone, and absent. Without it the demonstration
// happens in memory, which it must say, with the reason.
func TestDemoAsNobody(t *testing.T) {
	needRoot(t)
	for _, test := range []struct{ mode, reason string }{
		{"0666", ""},
		{"0600", "chmod 0666 /dev/net/tun"},
		{"absent", "/dev/net/tun is absent"},
	} {
		t.Run(test.mode, func(t *testing.T) {
			output, err := asNobody(t, test.mode, "demo")
			checkDemo(t, output, err, test.reason)
			output, err = asNobody(t, test.mode, "demo", "--require-kernel")
			if test.reason == "" {
				checkDemo(t, output, err, "")
				return
			}
			if status(err) != 1 || !strings.Contains(output, test.reason) {
				t.Errorf("with the kernel required: %v, want status 1 and %q:\n%s", err, test.reason, output)
			}
		})
	}
}

// checkDemo checks a demonstration that succeeded: with the kernel, unless
// there is a reason why not.
func checkDemo(t *testing.T, output string, err error, reason string) {
	t.Helper()
	if err != nil {
		t.Errorf("demo: %v:\n%s", err, output)
	}
	if strings.Contains(output, "\x1b") {
		t.Errorf("colours in a pipe:\n%q", output)
	}
	if memory := strings.Contains(output, "in memory"); memory != (reason != "") {
		t.Errorf("in memory: %v, want %v:\n%s", memory, !memory, output)
	}
	if !strings.Contains(output, reason) {
		t.Errorf("want the reason %q:\n%s", reason, output)
	}
}

// needRoot skips the test unless the machine's root runs it.
func needRoot(t *testing.T) {
	t.Helper()
	var inside, outside, size uint32
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(ids), &inside, &outside, &size); err != nil {
		t.Fatal(err)
	}
	if outside != 0 || size < 1<<16 {
		t.Skip("missing: root, to become another user or to have more than users may")
	}
}

func init() { roles["nobody"] = beNobody }

// asNobody runs the program as user 65534 in a sandbox of its own, where the
// device has the given mode, or is absent.
func asNobody(t *testing.T, mode string, args ...string) (output string, err error) {
	t.Helper()
	cmd := sandbox.Command(within(t), append([]string{"--", mode, programPath(t)}, args...)...)
	cmd.Env = append(cmd.Env, roleVariable+"=nobody")
	printed, err := cmd.CombinedOutput()
	return string(printed), err
}

// beNobody is the role that does so.
func beNobody() error {
	args := flag.Args()
	if err := sandbox.Setup(); err != nil {
		return err
	}
	if err := replaceDevice(args[0]); err != nil {
		return err
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd.Run()
}

// replaceDevice makes a TUN device of that mode in this mount namespace alone.
func replaceDevice(mode string) error {
	const directory = "/dev/net"
	if err := unix.Mount("tmpfs", directory, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	if mode == "absent" {
		return nil
	}
	var bits uint32
	if _, err := fmt.Sscanf(mode, "%o", &bits); err != nil {
		return err
	}
	path := filepath.Join(directory, "tun")
	if err := unix.Mknod(path, unix.S_IFCHR|bits, int(unix.Mkdev(10, 200))); err != nil {
		return err
	}
	return os.Chmod(path, os.FileMode(bits))
}
