package sandbox_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/v6stack/v6stack/internal/sandbox"
)

func proc(files ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		fsys[files[i]] = &fstest.MapFile{Data: []byte(files[i+1] + "\n")}
	}
	return fsys
}

func TestExplainNamespaces(t *testing.T) {
	const (
		userLimit = "sys/user/max_user_namespaces"
		netLimit  = "sys/user/max_net_namespaces"
		clone     = "sys/kernel/unprivileged_userns_clone"
		apparmor  = "sys/kernel/apparmor_restrict_unprivileged_userns"
		status    = "self/status"
	)
	for _, test := range []struct {
		name string
		err  error
		proc fstest.MapFS
		root bool
		want string
	}{
		{"limit of users", syscall.ENOSPC, proc(userLimit, "0", netLimit, "100"), false, "user.max_user_namespaces is 0"},
		{"limit of networks", syscall.ENOSPC, proc(userLimit, "100", netLimit, "0"), false, "user.max_net_namespaces is 0"},
		{"limit reached", syscall.ENOSPC, proc(userLimit, "100"), false, "a limit is reached"},
		{"limit of networks, root", syscall.ENOSPC, proc(netLimit, "0"), true, "network namespaces are refused, user.max_net_namespaces is 0"},
		{"Debian's switch", syscall.EPERM, proc(clone, "0"), false, "kernel.unprivileged_userns_clone is 0"},
		{"Debian's switch on", syscall.EPERM, proc(clone, "1"), false, "the system forbids them"},
		{"AppArmor", syscall.EPERM, proc(clone, "1", apparmor, "1"), false, "AppArmor restricts them"},
		{"AppArmor, EACCES", syscall.EACCES, proc(apparmor, "1"), false, "AppArmor restricts them"},
		{"seccomp", syscall.EPERM, proc(status, "Name:\tx\nSeccomp:\t2"), false, "a system call filter forbids them"},
		{"no seccomp", syscall.EPERM, proc(status, "Name:\tx\nSeccomp:\t0"), false, "the system forbids them"},
		{"container's root", syscall.EPERM, proc(apparmor, "1", status, "Seccomp:\t2"), true, "root lacks CAP_SYS_ADMIN"},
		{"kernel without", syscall.EINVAL, proc(), false, "the kernel has none"},
		{"anything else", syscall.EIO, proc(), false, "the kernel says so"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := sandbox.ExplainNamespaces(test.err, test.proc, test.root)
			checkLine(t, err, test.err, test.want)
		})
	}
}

func TestExplainDevice(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{syscall.ENOENT, "/dev/net/tun is absent"},
		{syscall.EACCES, "chmod 0666 /dev/net/tun"},
		{syscall.EPERM, "kept from this container"},
		{syscall.ENODEV, "modprobe tun"},
		{syscall.ENXIO, "modprobe tun"},
		{syscall.EIO, "cannot be opened"},
	} {
		checkLine(t, sandbox.ExplainDevice(test.err), test.err, test.want)
	}
	if err := sandbox.ExplainDevice(nil); err != nil {
		t.Errorf("a device that opens is explained as %v", err)
	}
}

// checkLine checks that err is one line that contains want and wraps cause.
func checkLine(t *testing.T, err, cause error, want string) {
	t.Helper()
	if !errors.Is(err, cause) {
		t.Errorf("error %v does not wrap %v", err, cause)
	}
	if line := err.Error(); !strings.Contains(line, want) || strings.Contains(line, "\n") {
		t.Errorf("error %q: want one line with %q", line, want)
	}
}
