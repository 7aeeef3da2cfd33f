package filter_test

import (
	"sync"
	"testing"
	"time"

	"github.com/v6stack/v6stack/stack/filter"
)

// Everything at once: afterwards the counters add up.
func TestConcurrency(t *testing.T) {
	const workers, packets = 4, 5000
	f := limited(t, 1024)
	other := config(filter.Rule{Protocol: 99}, redToBlue)
	other.MaxFlows = 1024
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for n := range packets {
				p := numbered(udp(), n*7+worker)
				switch n % 4 {
				case 1:
					p = back(p)
				case 2:
					p = errorAbout(p)
				case 3:
					p = fragmentErrorAbout(p)
				}
				f.Judge(&p, at(time.Duration(n)*50*time.Millisecond))
			}
		})
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			c := other
			c.Rules = other.Rules[n%2:]
			if err := f.Replace(c); err != nil {
				t.Error(err)
				return
			}
			for range f.Flows(at(0)) {
			}
			f.Stats(at(0))
		}
	})
	group.Wait()
	close(stop)
	readers.Wait()

	end := time.Duration(packets) * 50 * time.Millisecond
	s := f.Stats(at(end))
	total := s.DefaultAllowed.Packets + s.DefaultDenied.Packets + s.Errors.Packets
	for _, r := range s.Rules {
		total += r.Packets
	}
	if total != workers*packets {
		t.Errorf("%d packets counted, want %d", total, workers*packets)
	}
	if uint64(s.Flows) != s.Opened-s.Expired-s.Evicted-s.Revoked || s.Flows > s.MaxFlows || s.Opened == 0 {
		t.Errorf("%+v", s)
	}
	if n := len(flows(f, end)); n != s.Flows {
		t.Errorf("%d flows listed, %d counted", n, s.Flows)
	}
	if s = f.Stats(at(end + 10*24*time.Hour)); s.Flows != 0 {
		t.Errorf("%d flows after days", s.Flows)
	}
}
