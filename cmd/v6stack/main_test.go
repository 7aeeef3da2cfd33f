package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/refs"

	"github.com/v6stack/v6stack/internal/sandbox"
)

// TestMain looks for what the tests leak. In a sandbox it is the program: the
// demonstration runs its own executable again, which is that of the tests.
func TestMain(m *testing.M) {
	if sandbox.Inside() && len(os.Args) == 3 && os.Args[1] == "demo" {
		main()
	}
	refs.SetLeakMode(refs.LeaksPanic)
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "leaked goroutines:", err)
			code = 1
		}
		refs.DoRepeatedLeakCheck()
	}
	os.Exit(code)
}

// An outcome is what one execution of the program left.
type outcome struct {
	status         int
	stdout, stderr string
}

// executed executes the program in this process.
func executed(ctx context.Context, args ...string) outcome {
	var stdout, stderr lockedBuffer
	status := execute(ctx, args, streams{os.Stdin, &stdout, &stderr})
	return outcome{status, stdout.String(), stderr.String()}
}
