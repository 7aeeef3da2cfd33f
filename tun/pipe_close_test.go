package tun_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/tun"
)

// pipeTally is a dispatcher that counts packets and keeps none.
type pipeTally struct{ packets atomic.Int64 }

func (d *pipeTally) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {
	d.packets.Add(1)
}

func (d *pipeTally) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// await waits until there were n packets.
func (d *pipeTally) await(t *testing.T, n int64) {
	t.Helper()
	pipeEventually(t, "packets", func() bool { return d.packets.Load() >= n })
}

// pipeEventually waits until condition holds.
func pipeEventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(pipeDeadline); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in time:", what)
		}
	}
}

// An end that nobody reads takes as many packets as fit, and refuses the rest
// without waiting.
func TestPipeUnattended(t *testing.T) {
	a, b := newPipe(t, tun.PipeConfig{Depth: 3})
	octets := pipeDatagram(pipeOctets(100))
	for i := range 5 {
		n, err := pipeWrite(a.Endpoint(), octets, gstack.GSO{})
		_, full := err.(*tcpip.ErrNoBufferSpace)
		if fits := i < 3; fits != (n == 1 && err == nil) || fits == full {
			t.Errorf("packet %d: got %d, %v", i, n, err)
		}
	}
	if got := a.Stats().Refused; got != 2 {
		t.Errorf("%d packets refused, want 2", got)
	}
	sink := make(pipeSink, 10)
	b.Endpoint().Attach(sink)
	for range 3 {
		sink.next(t)
	}
}

// pipeGate is a dispatcher that keeps each delivery until it is opened.
type pipeGate struct{ entered, open chan struct{} }

func (g pipeGate) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {
	g.entered <- struct{}{}
	<-g.open
}

func (g pipeGate) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// A write to an end that does not get on waits, but not for ever.
func TestPipeFull(t *testing.T) {
	a, b := newPipe(t, tun.PipeConfig{Depth: 2})
	gate := pipeGate{make(chan struct{}, 16), make(chan struct{})}
	b.Endpoint().Attach(gate)
	octets := pipeDatagram(pipeOctets(100))
	pipeWrite(a.Endpoint(), octets, gstack.GSO{})
	<-gate.entered
	for range 2 {
		if n, err := pipeWrite(a.Endpoint(), octets, gstack.GSO{}); n != 1 || err != nil {
			t.Errorf("got %d, %v while there was room", n, err)
		}
	}
	if n, err := pipeWrite(a.Endpoint(), octets, gstack.GSO{}); n != 0 || err == nil {
		t.Errorf("got %d, %v while there was no room", n, err)
	}
	wrote := make(chan int)
	go func() { // once there is room
		for {
			if n, _ := pipeWrite(a.Endpoint(), octets, gstack.GSO{}); n == 1 {
				break
			}
		}
		close(wrote)
	}()
	close(gate.open)
	<-wrote
}

// Closing either end ends a write that waits for room.
func TestPipeCloseWhileFull(t *testing.T) {
	for _, first := range []int{0, 1} {
		a, b := newPipe(t, tun.PipeConfig{Depth: 1})
		gate := pipeGate{make(chan struct{}, 1), make(chan struct{})}
		b.Endpoint().Attach(gate)
		octets := pipeDatagram(pipeOctets(100))
		pipeWrite(a.Endpoint(), octets, gstack.GSO{})
		<-gate.entered
		ended := make(chan struct{})
		go func() { // until the device is closed
			defer close(ended)
			for {
				_, err := pipeWrite(a.Endpoint(), octets, gstack.GSO{})
				if _, closed := err.(*tcpip.ErrClosedForSend); closed {
					return
				}
			}
		}()
		closed := make(chan struct{})
		go func() { // until the delivery ends
			defer close(closed)
			[]*tun.Device{a, b}[first].Close()
		}()
		if first == 0 {
			<-closed // The delivery is not at this end.
		}
		<-ended
		close(gate.open)
		<-closed
	}
}

func TestPipeAfterClose(t *testing.T) {
	a, b := newPipe(t, tun.PipeConfig{})
	octets := pipeDatagram(pipeOctets(100))
	for range 3 {
		pipeWrite(a.Endpoint(), octets, gstack.GSO{})
		pipeWrite(b.Endpoint(), octets, gstack.GSO{})
	}
	a.Close()
	for _, end := range []*tun.Device{a, b} {
		n, err := pipeWrite(end.Endpoint(), octets, gstack.GSO{})
		if _, closed := err.(*tcpip.ErrClosedForSend); n != 0 || !closed {
			t.Errorf("got %d, %v of a closed pipe, want ErrClosedForSend", n, err)
		}
	}
	sink := make(pipeSink, 10)
	b.Endpoint().Attach(sink)
	for range 3 {
		sink.next(t) // written before the end
	}
}

// Writers of both ends, attachments and the ends of both, all at once.
func TestPipeCloseUnderLoad(t *testing.T) {
	large := pipeSegment(pipeOctets(40000), true)
	for round := range 12 {
		a, b := tun.Pipe(tun.PipeConfig{Depth: 8, NoOffload: round%4 < 2})
		stop := make(chan struct{})
		var workers sync.WaitGroup
		var tallies [2]pipeTally
		for i, end := range []*tun.Device{a, b} {
			endpoint := end.Endpoint()
			for _, step := range []func(){
				func() { pipeWrite(endpoint, large, pipeLarge(1440)) },
				func() { pipeWrite(endpoint, large[:1400], gstack.GSO{}) },
				func() {
					endpoint.Attach(nil)
					endpoint.Wait()
					endpoint.Attach(&tallies[i])
				},
			} {
				workers.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							step()
						}
					}
				})
			}
		}
		tallies[0].await(t, 10)
		tallies[1].await(t, 10)
		if round%2 == 0 {
			a, b = b, a
		}
		a.Close()
		b.Close()
		close(stop)
		workers.Wait()
	}
}

// TestMain checks that no buffer is left.
func TestPipeOpenAndCloseLeakNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	octets := pipeDatagram(pipeOctets(1000))
	for round := range 10000 {
		a, b := tun.Pipe(tun.PipeConfig{Depth: 4, NoOffload: round%2 == 0})
		if round%3 > 0 {
			a.Endpoint().Attach(new(pipeTally))
		}
		for range 2 {
			pipeWrite(a.Endpoint(), octets, gstack.GSO{})
			pipeWrite(b.Endpoint(), octets, gstack.GSO{})
		}
		if round%2 == 0 {
			a, b = b, a
		}
		a.Close()
		b.Close()
	}
	// A goroutine ends a moment after it was waited for.
	pipeEventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}
