package e2e

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// TestCloseUnderTraffic closes stacks while datagrams, streams and halves of
// datagrams come in.
func TestCloseUnderTraffic(t *testing.T) {
	goroutines := goleak.IgnoreCurrent()
	eachKind(t, func(t *testing.T, k kind) {
		for round := range 3 {
			t.Run(strconv.Itoa(round), func(t *testing.T) { closeUnderTraffic(t, k) })
		}
	})
	end := deadline()
	for err := goleak.Find(goroutines); err != nil; err = goleak.Find(goroutines) {
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func closeUnderTraffic(t *testing.T, k kind) {
	device := openDevice(t, k, tun.Config{})
	s := startStack(t, stack.Config{Links: []stack.LinkConfig{{
		Name:      "tun",
		Endpoint:  device.Endpoint(),
		Addresses: []netip.Prefix{stackPrefix},
		Close:     device.Close,
	}}})
	serveEcho(t, s)
	traffic := startTraffic(t, device.Name())
	defer traffic.stop()
	for range 50 {
		await(t, "traffic", traffic.echoed)
	}
	closeStack(t, s)
	checkGone(t, device.Name())
}

// traffic is several senders that go on whatever happens, until stop. None
// sends more before it has an echo, or has waited for one.
type traffic struct {
	cancel  context.CancelFunc
	senders sync.WaitGroup
	echoed  chan struct{} // receives for an echo, if somebody waits
	halves  atomic.Uint32
}

func startTraffic(t *testing.T, device string) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &traffic{cancel: cancel, echoed: make(chan struct{})}
	w := openTap(t, device)
	for range 4 {
		host := openHost(t)
		f.senders.Go(func() {
			for ctx.Err() == nil {
				f.exchange(w, host)
			}
		})
	}
	f.senders.Go(func() {
		for ctx.Err() == nil {
			echoStream(ctx, 1<<16)
		}
	})
	return f
}

// exchange sends half a datagram, then a whole one of several fragments, and
// waits a while for its echo. All of it fails when the TUN is gone.
func (f *traffic) exchange(w *tap, host host) {
	half := wire.Fragment{ID: f.halves.Add(1), Next: wire.UDPProtocol, More: true}
	w.socket.Write(toStack.Fragment(half, wire.Payload(1024)))
	host.WriteToUDPAddrPort(wire.Payload(8000), echoService)
	if _, err := host.next(time.Now().Add(50 * time.Millisecond)); err != nil {
		return
	}
	select {
	case f.echoed <- struct{}{}:
	default:
	}
}

// stop ends the senders and waits for them.
func (f *traffic) stop() {
	f.cancel()
	f.senders.Wait()
}
