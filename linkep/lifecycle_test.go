package linkep_test

import (
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/linkep"
)

// within runs f; if it hangs, it ends the process with the stacks of all
// goroutines, because cleaning up would hang, too.
func within(what string, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		debug.SetTraceback("all")
		go panic(what + " hangs")
		<-done
	}
}

// traffic is what the far end sends while things are torn down: echo requests,
// for whose replies gVisor takes the stack's lock, whole, in fragments, and in
// half datagrams that stay behind.
func traffic() [][]byte {
	echo := inbound.Echo(1, 1, wire.Payload(3000))
	packets := inbound.Split(1, wire.ICMPv6, echo, 1024)
	packets = append(packets, inbound.Packet(wire.ICMPv6, inbound.Echo(1, 2, wire.Payload(64))))
	return append(packets, inbound.Split(2, wire.ICMPv6, echo, 1024)[0])
}

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

// discard is a dispatcher that drops all.
type discard struct{}

func (discard) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}
func (discard) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer)    {}

// A stubborn endpoint takes its time to be attached and detached.
type stubborn struct {
	*channel.Endpoint
	attach, detach chan struct{} // closed when it may go on

	mu    sync.Mutex
	calls []bool // whether something was attached; guarded by mu
}

func newStubborn() *stubborn {
	return &stubborn{
		Endpoint: channel.New(1, mtu, ""),
		attach:   make(chan struct{}),
		detach:   make(chan struct{}),
	}
}

func (s *stubborn) Attach(d gstack.NetworkDispatcher) {
	if d == nil {
		<-s.detach
	} else {
		<-s.attach
	}
	s.mu.Lock()
	s.calls = append(s.calls, d != nil)
	s.mu.Unlock()
	s.Endpoint.Attach(d)
}

// While the lower endpoint is being detached, only Close waits; what comes
// after takes its turn.
func TestOnlyCloseWaitsForTheLowerEndpoint(t *testing.T) {
	lower := newStubborn()
	close(lower.attach)
	e := newEndpoint(t, lower, linkep.Options{})
	within("Attach or Wait", func() {
		e.Attach(discard{})
		e.Attach(nil)
		e.Wait()
		e.Attach(discard{})
		e.Attach(nil)
		e.Wait()
	})
	closed := make(chan struct{})
	go func() {
		e.Close()
		close(closed)
	}()
	select {
	case <-closed:
		t.Fatal("Close did not wait")
	case <-time.After(10 * time.Millisecond):
	}
	close(lower.detach)
	within("Close", func() { <-closed })
	if want := []bool{true, false, true, false}; !slices.Equal(lower.calls, want) {
		t.Errorf("attached %v, want %v", lower.calls, want)
	}
}

// Attach, which gVisor calls with the stack's lock held as well, leaves a
// detachment that came meanwhile to others.
func TestAttachDoesNotDetach(t *testing.T) {
	lower := newStubborn()
	e := newEndpoint(t, lower, linkep.Options{})
	attached := make(chan struct{})
	go func() {
		e.Attach(discard{})
		close(attached)
	}()
	for !e.IsAttached() {
		runtime.Gosched()
	}
	within("Attach(nil)", func() { e.Attach(nil) })
	close(lower.attach)
	within("Attach", func() { <-attached })
	close(lower.detach)
	within("Close", e.Close)
	if lower.IsAttached() {
		t.Error("the lower endpoint is still attached")
	}
}

// A lockedNIC is a NIC whose lock somebody holds.
type lockedNIC struct {
	gstack.NetworkInterface // for the methods that are not called
	discard
	asked  chan struct{}
	unlock chan struct{}
}

func (*lockedNIC) Enabled() bool     { return true }
func (*lockedNIC) Spoofing() bool    { return false }
func (*lockedNIC) Promiscuous() bool { return false }

func (n *lockedNIC) PrimaryAddress(tcpip.NetworkProtocolNumber) (tcpip.AddressWithPrefix, tcpip.Error) {
	close(n.asked)
	<-n.unlock
	return address(local).WithPrefix(), nil
}

func (n *lockedNIC) CheckLocalAddress(_ tcpip.NetworkProtocolNumber, a tcpip.Address) bool {
	return a == address(local)
}

// Whoever detaches may hold the lock that a drop waits for.
func TestDetachDoesNotWaitForDrops(t *testing.T) {
	nic := &lockedNIC{asked: make(chan struct{}), unlock: make(chan struct{})}
	clock := newClock()
	lower := newChannelLink()
	e := newEndpoint(t, lower.endpoint(), linkep.Options{EngineConfig: defrag.Config{Clock: clock}})
	e.Attach(nic)
	lower.send(t, traffic()[0])
	expired := make(chan struct{})
	go func() {
		clock.Advance(2 * defrag.DefaultTimeout)
		close(expired)
	}()
	within("the timer", func() { <-nic.asked })
	within("Attach or Wait", func() {
		e.Attach(nil)
		e.Wait()
	})
	close(nic.unlock)
	within("Close", e.Close)
	within("the timer", func() { <-expired })
}

// A fragment that is on its way into a shared engine while the endpoint is
// closed does not stay there.
func TestFragmentGatheredWhileClosing(t *testing.T) {
	engine, err := defrag.New(defrag.Config{Clock: newClock()})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	var e *linkep.Endpoint
	lower := newChannelLink()
	e = newEndpoint(t, lower.endpoint(), linkep.Options{
		Engine: engine,
		// The zone is asked for right before the fragment is gathered.
		ZoneOf: func(*gstack.PacketBuffer) defrag.Zone {
			within("Close", e.Close)
			return 0
		},
	})
	e.Attach(discard{})
	lower.send(t, traffic()[0])
	if got := engine.Stats().Total; got.Fragments != 0 || got.Packets[defrag.Flushed] != 1 {
		t.Errorf("held %d, flushed %d, want 0 and 1", got.Fragments, got.Packets[defrag.Flushed])
	}
}

// Packets that come while nobody is attached are counted and let go.
func TestDetached(t *testing.T) {
	lower := newChannelLink()
	e := newEndpoint(t, lower.endpoint(), linkep.Options{})
	for _, packet := range traffic() {
		pkt := newPacket(packet)
		e.DeliverNetworkPacket(header.IPv6ProtocolNumber, pkt)
		pkt.DecRef()
	}
	if got, want := e.Stats().Detached, uint64(len(traffic())); got != want {
		t.Errorf("counted %d, want %d", got, want)
	}
}
