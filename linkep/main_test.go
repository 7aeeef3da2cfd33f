package linkep_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/refs"
)

// TestMain has gVisor count references, but not under benchmarks, which would
// measure the counting, and looks for goroutines left behind.
func TestMain(m *testing.M) {
	flag.Parse()
	if bench := flag.Lookup("test.bench"); bench == nil || bench.Value.String() == "" {
		refs.SetLeakMode(refs.LeaksPanic)
	}
	code := m.Run()
	if code == 0 {
		code = checkGoroutines()
	}
	refs.DoRepeatedLeakCheck()
	os.Exit(code)
}

// checkGoroutines gives goroutines that were told to end ample time to do so.
func checkGoroutines() int {
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if err = goleak.Find(); err == nil {
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}
