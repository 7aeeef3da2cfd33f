package linkep_test

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/linkep"
)

// flood sends traffic into fd, and drains what comes back, until stop is
// closed.
func flood(fd int, stop <-chan struct{}) {
	packets := traffic()
	octets := make([]byte, 1<<16)
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		for err := error(nil); err == nil; {
			_, _, err = unix.Recvfrom(fd, octets, unix.MSG_DONTWAIT)
		}
		_ = unix.Send(fd, packets[i%len(packets)], unix.MSG_DONTWAIT)
	}
}

// startFlood floods fd in the background; the function returned ends it.
func startFlood(fd int) (end func()) {
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { flood(fd, stop) })
	return func() {
		close(stop)
		done.Wait()
	}
}

// removal is what a round of tearing down is run with.
type removal struct {
	stack   *gstack.Stack
	id      tcpip.NICID
	timeout time.Duration // of the engine
	await   bool          // whether to wait for traffic first
	remove  func()
}

// run sets up a NIC over fdbased, with one processor a channel: then fdbased
// delivers on its reader, and waits for that reader when detached, under the
// stack's lock that the reader may want. It removes the NIC under traffic and
// checks that nothing is left.
func (r *removal) run(t testing.TB) {
	t.Helper()
	near, far := openPair(t)
	defer closePair(near, far)
	lower, err := fdbased.New(&fdbased.Options{FDs: []int{near}, MTU: mtu, ProcessorsPerChannel: 1})
	if err != nil {
		t.Fatal(err)
	}
	e := newEndpoint(t, lower, linkep.Options{
		EngineConfig: defrag.Config{Zone: defrag.ZoneConfig{Timeout: r.timeout}},
	})
	defer startFlood(far)()
	addNIC(t, r.stack, r.id, e, local)
	if r.await {
		awaitTraffic(t, r.stack, r.id)
	}
	within("removing the NIC", r.remove)
	if lower.IsAttached() || e.IsAttached() {
		t.Fatal("attached after the NIC was removed")
	}
	if got := e.Engine().Stats().Total; got.Queues != 0 || got.Fragments != 0 || got.Bytes != 0 {
		t.Fatalf("held after the NIC was removed: %+v", got)
	}
	within("Wait", e.Wait)
}

// awaitTraffic waits until the NIC received some packets.
func awaitTraffic(t testing.TB, s *gstack.Stack, id tcpip.NICID) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Microsecond) {
		if info := s.NICInfo()[id]; info.Stats.Rx.Packets.Value() > 5 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("no packet came up")
		}
	}
}

// timeouts let every other engine expire datagrams, and send errors for them,
// all the time.
func timeouts(round int) time.Duration {
	if round%2 == 0 {
		return 0
	}
	return time.Millisecond
}

func TestRemoveNICUnderTraffic(t *testing.T) {
	s := newStack(t)
	for round := range 300 {
		r := removal{stack: s, id: nicID, timeout: timeouts(round), await: round%3 != 0}
		r.remove = func() { s.RemoveNIC(nicID) }
		r.run(t)
	}
}

func TestDestroyStackUnderTraffic(t *testing.T) {
	for round := range 50 {
		s := newStack(t)
		r := removal{stack: s, id: nicID, timeout: timeouts(round), await: round%3 != 0, remove: s.Destroy}
		r.run(t)
	}
}

// Any order of the calls that start and end an endpoint's life, under traffic,
// ends well if Close is among them.
func TestAnyOrderOfCalls(t *testing.T) {
	calls := map[byte]func(e *linkep.Endpoint, up gstack.NetworkDispatcher){
		'A': func(e *linkep.Endpoint, up gstack.NetworkDispatcher) { e.Attach(up) },
		'D': func(e *linkep.Endpoint, _ gstack.NetworkDispatcher) { e.Attach(nil) },
		'C': func(e *linkep.Endpoint, _ gstack.NetworkDispatcher) { e.Close() },
		'W': func(e *linkep.Endpoint, _ gstack.NetworkDispatcher) { e.Wait() },
	}
	for _, order := range []string{
		"C", "CC", "WC", "ADC", "AC", "ACD", "ADWC", "AWDWCW", "ADADC", "ADDC", "CAD", "CA", "AACDW", "ADACWDA",
	} {
		for range 20 {
			runOrder(t, order, calls)
		}
	}
}

func runOrder(t *testing.T, order string, calls map[byte]func(*linkep.Endpoint, gstack.NetworkDispatcher)) {
	t.Helper()
	lower := newChannelLink()
	e := newEndpoint(t, lower.endpoint(), linkep.Options{})
	stop := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		packets := traffic()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				lower.send(t, packets[i%len(packets)])
			}
		}
	})
	within(order, func() {
		for i := range len(order) {
			calls[order[i]](e, discard{})
		}
	})
	close(stop)
	sender.Wait()
	if e.IsAttached() || lower.IsAttached() {
		t.Errorf("%s: still attached", order)
	}
	if got := e.Engine().Stats().Total; got.Fragments != 0 || got.Bytes != 0 {
		t.Errorf("%s: held %+v", order, got)
	}
	if _, err := e.WritePackets(gstack.PacketBufferList{}); err == nil || err.String() != (&tcpip.ErrClosedForSend{}).String() {
		t.Errorf("%s: write: %v", order, err)
	}
}
