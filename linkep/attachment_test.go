package linkep_test

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/linkep"
)

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

// A workshop is a lower endpoint whose writes take until they are let go, and
// that counts the ends of its life.
type workshop struct {
	*channel.Endpoint
	writing chan struct{} // gets one for each write that began
	finish  chan struct{} // takes one for each write that may end

	waits, closes atomic.Int32
}

func (w *workshop) WritePackets(gstack.PacketBufferList) (int, tcpip.Error) {
	w.writing <- struct{}{}
	<-w.finish
	return 1, nil
}

func (w *workshop) Wait()  { w.waits.Add(1) }
func (w *workshop) Close() { w.closes.Add(1) }

// Close waits for every error that is being written, so that the caller may
// let go of what the lower endpoint writes to.
func TestCloseWaitsForErrors(t *testing.T) {
	const writers = 2
	lower := &workshop{
		Endpoint: channel.New(1, mtu, ""),
		writing:  make(chan struct{}),
		finish:   make(chan struct{}),
	}
	n := newNode(t, plain{lower}, linkep.Options{}, local)
	packet := traffic()[0]
	for range writers {
		go func() {
			b := buffer.MakeWithData(packet)
			defer b.Release()
			n.HandleDrop(&defrag.Drop{Error: timeExceeded, Packet: &b})
		}()
		within("the write", func() { <-lower.writing })
	}
	closed := make(chan struct{})
	go func() {
		n.Close()
		close(closed)
	}()
	for range writers {
		select {
		case <-closed:
			t.Fatal("Close did not wait")
		case <-time.After(10 * time.Millisecond):
		}
		lower.finish <- struct{}{}
	}
	within("Close", func() { <-closed })
	if got := n.Stats().ErrorsSent; got != writers {
		t.Errorf("%d errors sent, want %d", got, writers)
	}
}

// A plain link is any endpoint that nothing is sent to.
type plain struct{ gstack.LinkEndpoint }

func (p plain) endpoint() gstack.LinkEndpoint { return p.LinkEndpoint }
func (plain) send(testing.TB, []byte)         {}
func (plain) receive(testing.TB) []byte       { return nil }

// The lower endpoint is waited for and closed when it is safe, and once; the
// endpoint's own engine goes with it.
func TestEnds(t *testing.T) {
	lower := &workshop{Endpoint: channel.New(1, mtu, "")}
	e := newEndpoint(t, lower, linkep.Options{})
	for _, step := range []struct {
		what          string
		do            func()
		waits, closes int32
	}{
		{"Wait before all", e.Wait, 0, 0},
		{"Attach", func() { e.Attach(discard{}) }, 0, 0},
		{"Wait while attached", e.Wait, 1, 0},
		{"Attach(nil)", func() { e.Attach(nil) }, 1, 0},
		{"Wait while detached", e.Wait, 1, 0},
		{"Close", e.Close, 1, 1},
		{"Close again", e.Close, 1, 1},
		{"Wait after Close", e.Wait, 2, 1},
	} {
		within(step.what, step.do)
		if waits, closes := lower.waits.Load(), lower.closes.Load(); waits != step.waits || closes != step.closes {
			t.Errorf("%s: waited %d and closed %d times, want %d and %d", step.what, waits, closes, step.waits, step.closes)
		}
	}
	b := buffer.MakeWithData(traffic()[0])
	defer b.Release()
	if got := e.Engine().Gather(&b, &defrag.Metadata{}, nil); got != defrag.EngineClosed {
		t.Errorf("the engine says %v, want %v", got, defrag.EngineClosed)
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
