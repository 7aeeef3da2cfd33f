package e2e

import (
	"context"
	"testing"
	"time"
)

// patience is how long a test waits for what must come. It bounds how long a
// failing test takes, and is never part of what is tested.
const patience = time.Minute

// again is how long a test waits before it sends once more what a busy
// kernel's queues may have lost.
const again = 5 * time.Second

// within returns a context that ends when patience does.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// persist calls try, with a deadline for each call, until it succeeds or
// patience ends.
func persist(t *testing.T, what string, try func(deadline time.Time) error) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		err := try(time.Now().Add(again))
		switch {
		case err == nil:
			return
		case time.Now().After(end):
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %v; once more", what, err)
	}
}

// deadline returns when patience that starts now ends.
func deadline() time.Time { return time.Now().Add(patience) }

// await waits for ready to be closed.
func await(t *testing.T, what string, ready <-chan struct{}) {
	t.Helper()
	select {
	case <-ready:
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
	}
}
