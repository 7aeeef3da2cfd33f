package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"syscall"
)

// A refusal is one setting by which a system keeps namespaces from users.
type refusal struct {
	// file below /proc, and the value that refuses.
	file, value string
	// setting that it is, and what to do.
	setting, remedy string
}

// The two kernel errors each have their settings: a limit reached is ENOSPC,
// everything else EPERM or EACCES.
var (
	limits = []refusal{
		{"sys/user/max_user_namespaces", "0", "user.max_user_namespaces is 0", "sysctl user.max_user_namespaces=10000, as root"},
		{"sys/user/max_net_namespaces", "0", "user.max_net_namespaces is 0", "sysctl user.max_net_namespaces=10000, as root"},
		{"sys/user/max_mnt_namespaces", "0", "user.max_mnt_namespaces is 0", "sysctl user.max_mnt_namespaces=10000, as root"},
	}
	locks = []refusal{
		{"sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0", "sysctl kernel.unprivileged_userns_clone=1, as root, or run as root"},
		{"sys/kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor restricts them (kernel.apparmor_restrict_unprivileged_userns is 1)", "sysctl kernel.apparmor_restrict_unprivileged_userns=0, as root, or run as root"},
	}
)

// explainNamespaces says why cloning into new namespaces failed with err.
// proc is the file system at /proc, root whether the caller is root.
func explainNamespaces(err error, proc fs.FS, root bool) error {
	what := "user namespaces are refused"
	if root {
		what = "network namespaces are refused"
	}
	reason, remedy := "the kernel says so", "run as root, or on a kernel with namespaces"
	switch {
	case errors.Is(err, syscall.ENOSPC):
		reason, remedy = "a limit is reached", "raise user.max_user_namespaces and user.max_net_namespaces, as root"
		reason, remedy = find(limits, proc, reason, remedy)
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS):
		reason, remedy = "the kernel has none", "run as root, or on a kernel with CONFIG_USER_NS and CONFIG_NET_NS"
	case errors.Is(err, fs.ErrPermission):
		reason, remedy = permission(proc, root)
	}
	return fmt.Errorf("%s, %s: %s: %w", what, reason, remedy, err)
}

// permission returns the reason and the remedy of a refusal by EPERM.
func permission(proc fs.FS, root bool) (reason, remedy string) {
	switch {
	case root: // whom the locks do not concern
		return "root lacks CAP_SYS_ADMIN here", "run outside of the container, or give it the capability (--cap-add SYS_ADMIN)"
	case seccomp(proc):
		reason, remedy = "a system call filter forbids them (the container's seccomp profile)", "run outside of the container, or with --security-opt seccomp=unconfined"
	default:
		reason, remedy = "the system forbids them", "run as root"
	}
	return find(locks, proc, reason, remedy)
}

// find returns the first refusal in force, or else reason and remedy as given.
func find(refusals []refusal, proc fs.FS, reason, remedy string) (string, string) {
	for _, r := range refusals {
		content, err := fs.ReadFile(proc, r.file)
		if err == nil && strings.TrimSpace(string(content)) == r.value {
			return r.setting, r.remedy
		}
	}
	return reason, remedy
}

var filtered = regexp.MustCompile(`(?m)^Seccomp:\s*2$`)

// seccomp reports whether system calls of this process are filtered.
func seccomp(proc fs.FS) bool {
	status, err := fs.ReadFile(proc, "self/status")
	return err == nil && filtered.Match(status)
}
