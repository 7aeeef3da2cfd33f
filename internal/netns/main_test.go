package netns_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/v6stack/v6stack/internal/sandbox"
)

// TestMain runs the tests once more in a sandbox of their own, and checks in
// the end that no goroutine is left.
func TestMain(m *testing.M) {
	if !sandbox.Inside() && runtime.GOOS == "linux" {
		os.Exit(runInSandbox())
	}
	if sandbox.Inside() {
		if err := sandbox.Setup(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// runInSandbox runs this program again in a sandbox and returns its status.
// Where there is none, that is a failure if CI promised one, else a skip.
func runInSandbox() int {
	status, err := sandbox.Rerun()
	switch {
	case err != nil && os.Getenv("CI") == "true":
		fmt.Fprintln(os.Stderr, "no sandbox:", err)
		return 1
	case err != nil:
		fmt.Println("all tests skipped, no sandbox:", err)
	}
	return status
}
