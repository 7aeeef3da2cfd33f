//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
)

var errPlatform = fmt.Errorf("%s has no TUN sandbox: %w", runtime.GOOS, errors.ErrUnsupported)

// Command returns a command that fails.
func Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, marker, args...)
	cmd.Err = errPlatform
	return cmd
}

// Inside reports false.
func Inside() bool { return false }

// Setup fails.
func Setup() error { return errPlatform }

// Available says that the platform has no sandbox.
func Available() error { return errPlatform }
