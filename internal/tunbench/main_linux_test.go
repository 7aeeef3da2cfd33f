package tunbench

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/v6stack/v6stack/internal/sandbox"
)

// TestMain runs the benchmarks in a sandbox of their own. Without -bench there
// is nothing to run.
func TestMain(m *testing.M) {
	flag.Parse()
	asked := flag.Lookup("test.bench").Value.String() != "" && flag.Lookup("test.list").Value.String() == ""
	switch {
	case !asked:
		os.Exit(m.Run())
	case !sandbox.Inside():
		os.Exit(runInSandbox())
	}
	if err := sandbox.Setup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runInSandbox runs this program again in a sandbox and returns its status.
func runInSandbox() int {
	if err := sandbox.Available(); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks of TUN devices need a sandbox:", err)
		return 1
	}
	status, err := sandbox.Rerun()
	if err != nil {
		fmt.Fprintln(os.Stderr, "run the benchmarks in a sandbox:", err)
		return 1
	}
	return status
}
