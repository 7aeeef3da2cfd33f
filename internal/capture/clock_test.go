package capture_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/v6stack/v6stack/internal/capture"
)

func TestClockFollowsAndNeverGoesBack(t *testing.T) {
	var c capture.Clock
	for _, step := range []struct {
		to   int64
		want time.Duration
	}{
		{-5e9, 0}, {-3e9, 2e9}, {-4e9, 2e9}, {math.MinInt64, 2e9}, {-2e9, 3e9},
		{math.MaxInt64, math.MaxInt64 / 2}, {0, math.MaxInt64 / 2},
	} {
		c.MoveTo(step.to)
		if c.Elapsed() != step.want {
			t.Errorf("moved to %d: %v elapsed, want %v", step.to, c.Elapsed(), step.want)
		}
	}
}

func TestClockFiresInOrder(t *testing.T) {
	var c capture.Clock
	c.MoveTo(1e9)
	var fired []string
	at := func(name string) func() {
		return func() { fired = append(fired, name+" "+c.Elapsed().String()) }
	}
	c.AfterFunc(3*time.Second, at("c"))
	c.AfterFunc(time.Second, at("a"))
	c.AfterFunc(time.Second, at("b"))
	stopped := c.AfterFunc(2*time.Second, at("stopped"))
	moved := c.AfterFunc(2*time.Second, at("moved"))
	moved.Reset(4 * time.Second)
	later := c.AfterFunc(time.Hour, at("later"))
	c.AfterFunc(time.Second, func() {
		c.AfterFunc(500*time.Millisecond, at("nested"))
		c.AfterFunc(-1, at("at once"))
	})
	if !stopped.Stop() || stopped.Stop() {
		t.Error("Stop: want true, then false")
	}
	c.MoveTo(1e9 + 4e9)
	want := []string{"a 1s", "b 1s", "at once 1s", "nested 1.5s", "c 3s", "moved 4s"}
	if !slices.Equal(fired, want) {
		t.Errorf("fired %q, want %q", fired, want)
	}
	if c.Timers() != 1 || !later.Stop() || c.Timers() != 0 {
		t.Errorf("%d timers left", c.Timers())
	}
	if moved.Stop() {
		t.Error("Stop of a fired timer: want false")
	}
	moved.Reset(time.Second)
	c.MoveTo(1e9 + 5e9)
	if last := fired[len(fired)-1]; last != "moved 5s" {
		t.Errorf("fired %q after Reset", last)
	}
}

// TestClockKeepsNothing resets one timer over and over.
func TestClockKeepsNothing(t *testing.T) {
	var c capture.Clock
	timer := c.AfterFunc(time.Second, func() {})
	for range 1000 {
		timer.Reset(time.Second)
	}
	if c.Timers() != 1 {
		t.Errorf("%d timers, want 1", c.Timers())
	}
}
