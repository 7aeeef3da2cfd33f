package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/sandbox"
)

// role is the environment variable that makes the test binary something else
// than a test: a child in a sandbox, or one on the way there.
const role = "SANDBOX_TEST_ROLE"

var roles = map[string]func() error{
	"look":         look,
	"available":    available,
	"device":       deviceAsNobody,
	"no-namespace": noNamespaceForNobody,
}

func TestMain(m *testing.M) {
	act, ok := roles[os.Getenv(role)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := act(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// run runs cmd as the given role and returns what it printed.
func run(cmd *exec.Cmd, as string, env ...string) (string, error) {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(append(cmd.Env, role+"="+as), env...)
	output, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(output)), err
}

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// look prints what the sandbox looks like from within.
func look() error {
	if err := sandbox.Setup(); err != nil {
		return err
	}
	if !sandbox.Inside() {
		return errors.New("not inside")
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range interfaces {
		fmt.Println(i.Name, i.Flags&net.FlagUp != 0)
	}
	return namespaceByName()
}

// namespaceByName makes a named network namespace and leaves it there.
func namespaceByName() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		return err
	}
	defer before.Close()
	named, err := netns.NewNamed("v6s-sandbox")
	if err != nil {
		return fmt.Errorf("make a named namespace: %w", err)
	}
	defer named.Close()
	fmt.Println("named")
	return netns.Set(before)
}

func TestSandbox(t *testing.T) {
	if err := sandbox.Available(); err != nil {
		skip(t, err)
	}
	output, err := run(sandbox.Command(patience(t)), "look")
	if err != nil {
		t.Fatalf("child: %v\n%s", err, output)
	}
	if want := "lo true\nnamed"; output != want {
		t.Errorf("in the sandbox:\n%s\nwant:\n%s", output, want)
	}
	if _, err := os.Stat("/run/netns/v6s-sandbox"); err == nil {
		t.Error("a namespace named in the sandbox has its name outside, too")
	}
}

func TestArguments(t *testing.T) {
	cmd := sandbox.Command(t.Context(), "one", "two")
	if got := strings.Join(cmd.Args[1:], " "); got != "one two" {
		t.Errorf("arguments %q", got)
	}
}

// TestStrayMarker sets the variable as somebody's shell might have it.
func TestStrayMarker(t *testing.T) {
	t.Setenv(sandbox.Marker, "")
	if sandbox.Inside() {
		t.Error("inside without the variable")
	}
	namespace, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(sandbox.Marker, namespace)
	if sandbox.Inside() {
		t.Error("inside by the variable alone")
	}
	if err := sandbox.Setup(); err == nil {
		t.Error("set up outside of a sandbox")
	}
}

func TestContextEndsChild(t *testing.T) {
	if err := sandbox.Available(); err != nil {
		skip(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sandbox.Command(ctx).Run(); !errors.Is(err, context.Canceled) {
		t.Errorf("a child of a cancelled context: %v", err)
	}
}

// TestAvailableToNobody asks as an ordinary user. The device it finds is
// replaced in a sandbox, so that the machine's own is left alone.
func TestAvailableToNobody(t *testing.T) {
	needRoot(t)
	for _, test := range []struct{ mode, want string }{
		{"0666", "available"},
		{"0600", "chmod 0666 /dev/net/tun"},
		{"", "/dev/net/tun is absent"},
	} {
		output, err := run(sandbox.Command(patience(t)), "device", "MODE="+test.mode)
		if strings.Contains(output, "namespaces are refused") {
			t.Skipf("asks as another user: missing: user namespaces: %s", output)
		}
		if err != nil || !strings.Contains(output, test.want) || strings.Contains(output, "\n") {
			t.Errorf("device of mode %q: %v, %q; want %q", test.mode, err, output, test.want)
		}
	}
}

// deviceAsNobody makes a device of mode MODE and asks again as nobody.
func deviceAsNobody() error {
	if err := sandbox.Setup(); err != nil {
		return err
	}
	const directory = "/dev/net"
	if err := unix.Mount("tmpfs", directory, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	var mode uint32
	if _, err := fmt.Sscanf(os.Getenv("MODE"), "%o", &mode); err == nil {
		path := filepath.Join(directory, "tun")
		if err := unix.Mknod(path, unix.S_IFCHR|mode, int(unix.Mkdev(10, 200))); err != nil {
			return err
		}
		if err := os.Chmod(path, os.FileMode(mode)); err != nil {
			return err
		}
	}
	return asNobody()
}

// TestNamespaceLimit asks where user.max_user_namespaces is 0. The limit is
// set in a user namespace, so that the machine's own is left alone.
func TestNamespaceLimit(t *testing.T) {
	needRoot(t)
	everybody := []syscall.SysProcIDMap{{Size: 1 << 16}}
	cmd := exec.CommandContext(patience(t), "/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:                 syscall.CLONE_NEWUSER,
		UidMappings:                everybody,
		GidMappings:                everybody,
		GidMappingsEnableSetgroups: true,
	}
	output, err := run(cmd, "no-namespace")
	if err != nil || !strings.Contains(output, "user.max_user_namespaces is 0") {
		t.Errorf("limit 0: %v, %q", err, output)
	}
}

func noNamespaceForNobody() error {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		return err
	}
	return asNobody()
}

// asNobody prints what an ordinary user is told.
func asNobody() error {
	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	output, err := run(cmd, "available")
	fmt.Println(output)
	return err
}

func available() error {
	if err := sandbox.Available(); err != nil {
		fmt.Println(err)
		return nil
	}
	fmt.Println("available")
	return nil
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("asks as another user: missing: root")
	}
	if err := sandbox.Available(); err != nil {
		skip(t, err)
	}
}

// skip skips the test for want of a sandbox, which CI has.
func skip(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("no sandbox: %v", err)
	}
	t.Skipf("no sandbox: %v", err)
}
