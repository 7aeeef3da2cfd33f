package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"gvisor.dev/gvisor/pkg/refs"

	"github.com/v6stack/v6stack/internal/sandbox"
)

// roleVariable in the environment makes the test binary a helper process: one
// of the functions in roles. Its error ends it with status 1, that of a process
// it ran with the status of the same.
const roleVariable = "V6STACK_E2E_ROLE"

var roles = map[string]func() error{}

func TestMain(m *testing.M) {
	flag.Parse()
	if act, ok := roles[os.Getenv(roleVariable)]; ok {
		exitRole(act())
	}
	switch {
	case flag.Lookup("test.list").Value.String() != "":
		os.Exit(m.Run())
	case sandbox.Inside():
		os.Exit(inner(m))
	case sandbox.Available() != nil:
		flag.Set("test.run", "^TestSandbox$")
		os.Exit(m.Run())
	}
	os.Exit(outer())
}

func exitRole(err error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// inner runs the tests in the sandbox, and looks for packets never released.
func inner(m *testing.M) int {
	if err := sandbox.Setup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	refs.SetLeakMode(refs.LeaksPanic)
	code := m.Run()
	refs.DoRepeatedLeakCheck()
	return code
}

// TestSandbox says whether the tests of this package could run at all.
func TestSandbox(t *testing.T) {
	if sandbox.Inside() {
		return
	}
	missing(t, "a sandbox: %v", sandbox.Available())
}

// missing skips the test for want of something. It fails it where CI has
// promised that nothing is missing.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	what := fmt.Sprintf(format, args...)
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s", what)
	}
	t.Skipf("missing: %s", what)
}
