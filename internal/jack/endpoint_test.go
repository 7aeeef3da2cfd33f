package jack_test

import (
	"testing"
	"testing/synctest"
)

// Packets come to the endpoint attached last, and to the one before it when that
// is detached: so a stack may put a link in another's place, or give it up.
func TestSeveralEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(machine)
		j := open(t, m)
		first, second := j.Endpoint(), j.Endpoint()
		if first == second {
			t.Error("one endpoint, want two")
		}
		a, b := new(counter), new(counter)
		m.last().receive() // Nobody is there.
		first.Attach(a)
		first.Attach(b) // It is attached already.
		flows(t, m, first, a)
		second.Attach(b)
		flows(t, m, second, b)
		second.Attach(nil)
		flows(t, m, first, a)
		second.Attach(b)
		first.Attach(nil)
		flows(t, m, second, b)
		second.Close()
		m.last().receive()
		if a.take()+b.take() != 0 || first.IsAttached() || second.IsAttached() {
			t.Error("a packet came to an endpoint that is detached")
		}
		first.Attach(a)
		flows(t, m, first, a)
		first.Attach(nil)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Wait waits for the detachment, Close for the delivery under way as well.
func TestEndpointWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(machine)
		j := open(t, m)
		c := &counter{hold: make(chan chan struct{})}
		e := j.Endpoint()
		e.Attach(c)
		waited, closed := make(chan struct{}), make(chan struct{})
		go func() {
			e.Wait()
			close(waited)
		}()
		received := make(chan struct{})
		go func() {
			m.last().receive()
			close(received)
		}()
		leave := <-c.hold
		synctest.Wait()
		if isClosed(waited) {
			t.Error("Wait has returned while the endpoint is attached")
		}
		go func() {
			e.Close()
			close(closed)
		}()
		<-waited
		synctest.Wait()
		if isClosed(closed) {
			t.Error("Close has returned while a packet is being delivered")
		}
		close(leave)
		<-closed
		<-received
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
