package wgtun_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/refs"

	"github.com/v6stack/v6stack/internal/sandbox"
)

// patience is how long anything may take that happens at once on an idle
// machine.
const patience = 60 * time.Second

// unavailable says why the tests run without a sandbox; nil if they do not.
var unavailable error

// TestMain runs the tests once more in a sandbox of their own where there is
// one, and checks in the end that neither a goroutine nor a buffer is left.
func TestMain(m *testing.M) {
	if !sandbox.Inside() {
		if unavailable = sandbox.Available(); unavailable == nil {
			os.Exit(runInSandbox())
		}
	} else if err := sandbox.Setup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	refs.SetLeakMode(refs.LeaksPanic)
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		refs.DoRepeatedLeakCheck()
	}
	os.Exit(code)
}

// runInSandbox runs this program again in a sandbox and returns its status.
func runInSandbox() int {
	status, err := sandbox.Rerun()
	if err != nil {
		fmt.Fprintln(os.Stderr, "run the tests in a sandbox:", err)
		return 1
	}
	return status
}

// eventually waits until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in time:", what)
		}
	}
}
