package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// self is the running executable. Through this link it can be started even if
// its file is gone, or lies where an unprivileged user may not look.
const self = "/proc/self/exe"

const mountNamespace = "/proc/self/ns/mnt"

// Command returns a command that runs the current executable with args in a
// fresh network and mount namespace, as root of a fresh user namespace unless
// the caller is root already. The child is killed when ctx ends, and when the
// thread that started it dies. The caller sets the standard streams, may
// append to Env, which it must not replace, and runs the command; an error in
// the making is reported by then.
func Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = os.Args[0]
	cmd.SysProcAttr = attributes(os.Geteuid(), os.Getegid())
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	namespace, err := os.Readlink(mountNamespace)
	if err != nil {
		cmd.Err = fmt.Errorf("sandbox: %w", err)
	}
	cmd.Env = append(os.Environ(), marker+"="+namespace)
	return cmd
}

// Inside reports whether the process runs in a sandbox that [Command] made.
func Inside() bool {
	outside := os.Getenv(marker)
	if outside == "" {
		return false
	}
	namespace, err := os.Readlink(mountNamespace)
	return err == nil && namespace != outside
}

// attributes returns what makes a child of the given user a sandbox. Root
// needs no user namespace, and keeps the owners of all files without one.
func attributes(uid, gid int) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if uid == 0 {
		return attr
	}
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	return attr
}
