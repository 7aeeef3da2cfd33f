package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/v6stack/v6stack/internal/sandbox"
)

// The outer process tells the inner one where the program is, or why there is
// none.
const (
	programVariable   = "V6STACK_E2E_PROGRAM"
	noProgramVariable = "V6STACK_E2E_NO_PROGRAM"
)

// outer builds the program, runs the tests in a sandbox and returns their exit
// status. It never waits for a sandbox for ever: a kernel may fail to let go
// of a TUN, and its process then survives even SIGKILL.
func outer() int {
	directory, err := os.MkdirTemp("", "v6stack-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(directory)
	// Other users than the one who runs the tests run the program, too.
	if err := os.Chmod(directory, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	limit := timeLimit()
	cmd := sandbox.Command(context.Background(), append(os.Args[1:], "-test.timeout="+(limit*9/10).String())...)
	cmd.Env = append(cmd.Env, buildProgram(filepath.Join(directory, "v6stack")))
	return runWithin(cmd, limit)
}

// timeLimit returns how long the sandbox may live: somewhat less than go test
// would wait.
func timeLimit() time.Duration {
	timeout, err := time.ParseDuration(flag.Lookup("test.timeout").Value.String())
	if err != nil || timeout <= 0 {
		return time.Hour
	}
	return timeout * 19 / 20
}

// buildProgram builds the program and returns the environment variable that
// says where it is, or why there is none.
func buildProgram(path string) string {
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, "../cmd/v6stack")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Sprintf("%s=go build: %v: %s", noProgramVariable, err, output)
	}
	return programVariable + "=" + path
}

// runWithin runs cmd and returns its exit status, 1 if it does not end within
// limit. The output goes through pipes of ours: a child that cannot be killed
// must not hold those of go test.
func runWithin(cmd *exec.Cmd, limit time.Duration) int {
	cmd.Stdout, cmd.Stderr = output{os.Stdout}, output{os.Stderr}
	cmd.WaitDelay = 10 * time.Second // for what a failed test left running
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "start the sandbox:", err)
		return 1
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for _, step := range []struct {
		patience time.Duration
		signal   syscall.Signal
	}{{limit, syscall.SIGQUIT}, {10 * time.Second, syscall.SIGKILL}, {10 * time.Second, 0}} {
		select {
		case err := <-ended:
			return status(err)
		case <-time.After(step.patience):
		}
		fmt.Fprintf(os.Stderr, "e2e: the sandbox (process %d) has not ended after %v\n", cmd.Process.Pid, step.patience)
		if step.signal != 0 {
			cmd.Process.Signal(step.signal)
		}
	}
	fmt.Fprintln(os.Stderr, "e2e: the sandbox cannot be killed and is left behind; "+
		"if the kernel log says unregister_netdevice, the kernel lost count of a TUN's users")
	return 1
}

func status(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "e2e: the sandbox ended by", err)
	return 1
}

// output hides that it writes to a file, so that a command does not hand the
// file itself to its child.
type output struct{ file *os.File }

func (o output) Write(b []byte) (int, error) { return o.file.Write(b) }
