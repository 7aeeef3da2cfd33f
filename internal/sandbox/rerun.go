package sandbox

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
)

// Rerun runs the current executable again in a sandbox, with its own arguments
// and standard streams, and returns the status that this ended with. The error
// says why it could not be run. It is for a main goroutine that then exits: the
// thread stays locked, because the child dies with it.
func Rerun() (status int, err error) {
	runtime.LockOSThread()
	cmd := Command(context.Background(), os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}
