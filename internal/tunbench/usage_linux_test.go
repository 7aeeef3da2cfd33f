package tunbench

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime returns what the process has used, its system calls included.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
