package tun_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// gate is a dispatcher whose deliveries wait until it is opened.
type gate struct {
	entered chan struct{}
	open    chan struct{}
	left    atomic.Int32
}

func newGate() *gate {
	return &gate{entered: make(chan struct{}, 4096), open: make(chan struct{})}
}

func (g *gate) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {
	g.entered <- struct{}{}
	<-g.open
	g.left.Add(1)
}

func (g *gate) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// eventually waits until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in time:", what)
		}
	}
}

func TestAttachAgain(t *testing.T) {
	device, far := pipe(t)
	endpoint := device.Endpoint()
	first, second := newRecorder(), newRecorder()
	if endpoint.IsAttached() {
		t.Error("attached from the start")
	}
	endpoint.Wait() // Nothing to wait for.
	write(t, far, ip6(41))
	endpoint.Attach(first)
	endpoint.Attach(second) // The first stays.
	if p := first.next(t, anyPacket); len(p.octets) != 41 {
		t.Errorf("got %d octets of a packet older than the attachment, want 41", len(p.octets))
	}
	endpoint.Attach(nil)
	endpoint.Attach(nil)
	endpoint.Wait()
	if endpoint.IsAttached() {
		t.Error("attached after its end")
	}
	write(t, far, ip6(42))
	eventually(t, "a packet that nobody gets is counted", func() bool { return device.Stats().Detached == 1 })
	endpoint.Attach(second)
	write(t, far, ip6(43))
	if p := second.next(t, anyPacket); len(p.octets) != 43 {
		t.Errorf("got %d octets after the second attachment, want 43", len(p.octets))
	}
	if len(first.packets) != 0 {
		t.Error("the first dispatcher got another packet")
	}
}

// gVisor detaches and waits with the lock held that a delivery may be waiting
// for, and closes without it.
func TestDetachDuringDelivery(t *testing.T) {
	device, far := pipe(t)
	endpoint := device.Endpoint()
	slow := newGate()
	endpoint.Attach(slow)
	write(t, far, ip6(100))
	<-slow.entered

	endpoint.Attach(nil)
	endpoint.Wait()
	if slow.left.Load() != 0 {
		t.Fatal("the delivery was not under way")
	}
	closed := make(chan struct{})
	go func() {
		endpoint.Close()
		close(closed)
	}()
	checkPending(t, "Close during a delivery", closed)
	close(slow.open)
	<-closed
	if slow.left.Load() != 1 {
		t.Error("Close did not wait for the delivery")
	}
}

// checkPending gives something that must not happen yet the time to happen.
func checkPending(t *testing.T, what string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
		t.Errorf("%s did not wait", what)
	case <-time.After(20 * time.Millisecond):
	}
}

func TestDeviceCloseDuringDelivery(t *testing.T) {
	device, far := pipe(t)
	slow := newGate()
	device.Endpoint().Attach(slow)
	write(t, far, ip6(100))
	<-slow.entered

	closed := make(chan int32)
	for range 2 {
		go func() {
			device.Close()
			closed <- slow.left.Load()
		}()
	}
	eventually(t, "a device that closes is detached", func() bool { return !device.Endpoint().IsAttached() })
	device.Endpoint().Wait()
	close(slow.open)
	for range 2 {
		if <-closed != 1 {
			t.Error("Close did not wait for the delivery")
		}
	}
}

func TestWaitWhileAttached(t *testing.T) {
	device, _ := pipe(t)
	endpoint := device.Endpoint()
	endpoint.Attach(newRecorder())
	waited := make(chan struct{})
	go func() {
		endpoint.Wait()
		close(waited)
	}()
	checkPending(t, "Wait while attached", waited)
	endpoint.Attach(nil)
	<-waited
}

func TestAfterClose(t *testing.T) {
	device, _ := pipe(t)
	endpoint := device.Endpoint()
	endpoint.Attach(newRecorder())
	for range 3 {
		if err := device.Close(); err != nil {
			t.Error(err)
		}
	}
	endpoint.Attach(newRecorder())
	if endpoint.IsAttached() {
		t.Error("attached to a closed device")
	}
	endpoint.Wait()
	endpoint.Close()
	n, err := send(endpoint, split(ip6(100)))
	if _, ok := err.(*tcpip.ErrClosedForSend); n != 0 || !ok {
		t.Errorf("got %d, %v from a closed device, want 0, ErrClosedForSend", n, err)
	}
}

// Readers, writers, attachments and the end, all at once.
func TestCloseUnderTraffic(t *testing.T) {
	for range 20 {
		device, far := pipe(t)
		endpoint := device.Endpoint()
		record := newRecorder()
		endpoint.Attach(record)
		var workers sync.WaitGroup
		stop := make(chan struct{})
		work := func(step func()) {
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
		incoming, sink := ip6(1500), make([]byte, 2000)
		work(func() { unix.SendmsgN(far, incoming, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) })
		work(func() { unix.Recvfrom(far, sink, unix.MSG_DONTWAIT) })
		work(func() { send(endpoint, split(ip6(1500), 40, 8)) })
		work(func() {
			endpoint.Attach(nil)
			endpoint.Wait()
			endpoint.Attach(record)
		})
		record.next(t, anyPacket)
		if err := device.Close(); err != nil {
			t.Error(err)
		}
		close(stop)
		workers.Wait()
	}
}
