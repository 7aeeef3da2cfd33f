package capture

import (
	"container/heap"
	"math"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// farthest is the latest time a clock shows; what is left behind it is room
// for timers.
const farthest = time.Duration(math.MaxInt64 / 2)

// A clock shows the capture's time. It moves when it is told to, never back,
// and then fires the timers that are due, one after another on the goroutine
// that moves it, each at its time. (gVisor's faketime.ManualClock would do but
// for the time heap, in which stopped timers stay.) All methods may be called
// from many goroutines at once.
type clock struct {
	mu sync.Mutex
	// The following are guarded by mu.

	// epoch is the time, in nanoseconds since 1970, at which now is 0; set by
	// the first packet.
	epoch   int64
	begun   bool
	now     time.Duration
	timers  timerHeap
	started uint64 // timers, to order those of the same time
}

var _ tcpip.Clock = (*clock)(nil)

// Now implements tcpip.Clock.
func (c *clock) Now() time.Time { return time.Unix(0, c.wall()) }

// NowMonotonic implements tcpip.Clock.
func (c *clock) NowMonotonic() tcpip.MonotonicTime {
	c.mu.Lock()
	defer c.mu.Unlock()
	return tcpip.MonotonicTime{}.Add(c.now)
}

// wall returns the time in nanoseconds since 1970.
func (c *clock) wall() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch + int64(c.now)
}

// moveTo makes it the given time, in nanoseconds since 1970, unless it is
// later already.
func (c *clock) moveTo(wall int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun {
		c.begun, c.epoch = true, wall
	}
	target := c.now
	if wall > c.epoch {
		// The difference may exceed an int64, hence the detour.
		since := uint64(wall) - uint64(c.epoch)
		target = max(target, time.Duration(min(since, uint64(farthest))))
	}
	for len(c.timers) > 0 && c.timers[0].due <= target {
		t := heap.Pop(&c.timers).(*timer)
		c.now = max(c.now, t.due)
		c.mu.Unlock()
		t.fire()
		c.mu.Lock()
	}
	c.now = target
}

// AfterFunc implements tcpip.Clock. A timer of no duration fires when the
// clock is next told to move.
func (c *clock) AfterFunc(d time.Duration, fire func()) tcpip.Timer {
	t := &timer{clock: c, fire: fire, index: -1}
	t.Reset(d)
	return t
}

// A timer of a clock.
type timer struct {
	clock *clock
	fire  func()
	// The following are guarded by clock.mu.

	due    time.Duration
	serial uint64
	index  int // in the heap; -1 if not running
}

// Stop implements tcpip.Timer.
func (t *timer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.clock.timers, t.index)
	return true
}

// Reset implements tcpip.Timer.
func (t *timer) Reset(d time.Duration) {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.index >= 0 {
		heap.Remove(&c.timers, t.index)
	}
	c.started++
	t.due, t.serial = c.now+min(max(d, 0), farthest), c.started
	heap.Push(&c.timers, t)
}

// A timerHeap has the timer that is due first on top.
type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].serial < h[j].serial
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = -1
	return t
}
