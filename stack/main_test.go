package stack_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/refs"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if benchmarks := flag.Lookup("test.bench"); benchmarks.Value.String() == "" {
		// Checking for leaks costs more than what benchmarks measure.
		refs.SetLeakMode(refs.LeaksPanic)
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString("leaked goroutines: " + err.Error() + "\n")
			code = 1
		}
		refs.DoRepeatedLeakCheck()
	}
	os.Exit(code)
}
