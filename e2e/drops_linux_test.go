package e2e

import (
	"sync"
	"testing"
	"time"

	"github.com/v6stack/v6stack/defrag"
)

// drops counts the packets that reassembly dropped, by reason.
type drops struct {
	mu      sync.Mutex
	counts  [defrag.NumVerdicts]int // guarded by mu
	changed chan struct{}           // guarded by mu; closed by the next drop
}

func newDrops() *drops { return &drops{changed: make(chan struct{})} }

// add counts a drop. It is an OnDrop hook.
func (d *drops) add(drop *defrag.Drop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[drop.Verdict]++
	close(d.changed)
	d.changed = make(chan struct{})
}

// all returns the counts of those reasons that have any.
func (d *drops) all() map[defrag.Verdict]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make(map[defrag.Verdict]int)
	for verdict, count := range d.counts {
		if count > 0 {
			all[defrag.Verdict(verdict)] = count
		}
	}
	return all
}

// wait waits until want packets were dropped for that reason.
func (d *drops) wait(t *testing.T, verdict defrag.Verdict, want int) {
	t.Helper()
	end := time.After(patience)
	for {
		d.mu.Lock()
		got, changed := d.counts[verdict], d.changed
		d.mu.Unlock()
		if got >= want {
			return
		}
		select {
		case <-changed:
		case <-end:
			t.Fatalf("%d packets dropped as %v: want %d; all: %v", got, verdict, want, d.all())
		}
	}
}
