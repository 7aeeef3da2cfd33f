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
	for _, backend := range backends {
		for round := range 5 {
			t.Run(backend.String()+"/"+strconv.Itoa(round), func(t *testing.T) { closeUnderTraffic(t, backend) })
		}
	}
	end := time.Now().Add(patience)
	for err := goleak.Find(goroutines); err != nil; err = goleak.Find(goroutines) {
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func closeUnderTraffic(t *testing.T, backend tun.Backend) {
	device := openTUN(t, tun.Config{Backend: backend})
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

// traffic is several senders that go on whatever happens, until stop.
type traffic struct {
	cancel  context.CancelFunc
	senders sync.WaitGroup
	echoed  chan struct{} // receives once for each echo, while somebody waits
	halves  atomic.Uint32
}

func startTraffic(t *testing.T, device string) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &traffic{cancel: cancel, echoed: make(chan struct{})}
	for range 2 {
		f.sendDatagrams(ctx, openHost(t))
		f.senders.Go(func() {
			for ctx.Err() == nil {
				echoStream(ctx, 1<<16)
			}
		})
	}
	w := openTap(t, device)
	f.senders.Go(func() {
		for ctx.Err() == nil {
			half := toStack.Fragment(wire.Fragment{ID: f.halves.Add(1), Next: wire.UDPProtocol, More: true}, wire.Payload(1024))
			if _, err := w.socket.Write(half); err != nil {
				return
			}
		}
	})
	return f
}

// sendDatagrams sends datagrams of several fragments from host, and counts
// what comes back.
func (f *traffic) sendDatagrams(ctx context.Context, host host) {
	payload := wire.Payload(8000)
	f.senders.Go(func() {
		for ctx.Err() == nil {
			host.WriteToUDPAddrPort(payload, echoService)
		}
	})
	f.senders.Go(func() {
		for ctx.Err() == nil {
			if _, err := host.next(time.Now().Add(100 * time.Millisecond)); err != nil {
				continue
			}
			select {
			case f.echoed <- struct{}{}:
			default:
			}
		}
	})
}

// stop ends the senders and waits for them.
func (f *traffic) stop() {
	f.cancel()
	f.senders.Wait()
}
