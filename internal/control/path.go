package control

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// fileName of the control socket unless another is asked for.
const fileName = "v6stack.sock"

// A socket is made as draftName in a folder whose longest name is workshop,
// beside the place that it then takes.
const (
	draftName = "new"
	workshop  = ".v6stack4294967295"
)

// DefaultPath returns where the control socket is unless another path is asked
// for: in $XDG_RUNTIME_DIR or, where that is not set, where the system has such
// things.
func DefaultPath() string {
	if folder := os.Getenv("XDG_RUNTIME_DIR"); folder != "" {
		return filepath.Join(folder, fileName)
	}
	switch runtime.GOOS {
	case "linux":
		return "/run/" + fileName
	case "windows":
		return filepath.Join(os.TempDir(), fileName)
	}
	return "/var/run/" + fileName
}

// CheckPath reports what keeps path from being a control socket's on any
// machine: it is empty, or longer than the system's addresses.
func CheckPath(path string) error {
	const most = len(syscall.RawSockaddrUnix{}.Path) - 1
	if path == "" {
		return fmt.Errorf("empty: want a file name")
	}
	longest := max(len(socketName(path)), len(filepath.Join(filepath.Dir(path), workshop, draftName)))
	if longest > most {
		return fmt.Errorf("%d octets too long for a unix socket: want a shorter path", longest-most)
	}
	return nil
}

// socketName returns path as an address. One that begins with an @ would be no
// file on Linux.
func socketName(path string) string {
	if strings.HasPrefix(path, "@") {
		return "./" + path
	}
	return path
}
