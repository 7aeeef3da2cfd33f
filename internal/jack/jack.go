package jack

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/tun"
)

// lookInterval is how often a jack looks whether its device is there, and
// retries after how many looks without one it tries to open it. A device that
// is gone fails to be read once in 100 ms.
const (
	lookInterval = 250 * time.Millisecond
	retries      = 4
)

// A Device is what a jack needs of a [tun.Device]. Whatever its endpoint says of
// GSO, that takes packets with GSOOptions: connections stay, and with them what
// they were told of an earlier device.
type Device interface {
	Endpoint() gstack.LinkEndpoint
	MTU() int
	Stats() tun.Stats
	Close() error
}

// An Opener opens the device that a configuration describes.
type Opener func(tun.Config) (Device, error)

// OpenTUN is the [Opener] of real devices.
func OpenTUN(cfg tun.Config) (Device, error) {
	device, err := tun.Open(cfg)
	if err != nil {
		return nil, err
	}
	return device, nil
}

// A Jack is a link whose device may be exchanged. Make one with [Open]; it must
// be closed. All methods may be called from many goroutines at once.
type Jack struct {
	open   Opener
	notify func(message string)
	mtu    atomic.Uint32
	device atomic.Pointer[Device] // nil while there is none
	// offloads are those of the device, or of the last one there was.
	offloads atomic.Pointer[offloads]
	stop     chan struct{}
	done     chan struct{}

	// changing is held while devices are opened and closed; no packet waits for
	// it. It stands above mu.
	changing sync.Mutex
	cfg      tun.Config // guarded by changing
	closed   bool       // guarded by changing
	failures uint64     // of reads of every queue, when last looked at; guarded by changing
	failing  bool       // they had grown then; guarded by changing
	absent   int        // looks without a device; guarded by changing

	// current is the last of attached, or nil.
	current atomic.Pointer[endpoint]
	// mu is held for moments only and is a leaf.
	mu       sync.Mutex
	attached []*endpoint // guarded by mu
}

var _ gstack.NetworkDispatcher = (*Jack)(nil)

// Open opens a device, by open, and looks after it. When the device goes or
// comes back, notify is told in a sentence without an end; it is called by one
// goroutine at a time and must not call the jack.
func Open(cfg tun.Config, open Opener, notify func(message string)) (*Jack, error) {
	j := &Jack{open: open, notify: notify, cfg: cfg, stop: make(chan struct{}), done: make(chan struct{})}
	device, err := open(cfg)
	if err != nil {
		return nil, err
	}
	j.plugLocked(device)
	go j.watch()
	return j, nil
}

// Config returns the configuration of the device.
func (j *Jack) Config() tun.Config {
	j.changing.Lock()
	defer j.changing.Unlock()
	return j.cfg
}

// Replug closes the device and opens one of another configuration. If that
// fails it opens the former again; should that fail too, the jack is without a
// device, and goes on trying.
func (j *Jack) Replug(cfg tun.Config) error {
	j.changing.Lock()
	defer j.changing.Unlock()
	if j.closed {
		return fmt.Errorf("link %q: closed", cfg.Name)
	}
	j.unplugLocked()
	device, err := j.open(cfg)
	if err == nil {
		j.cfg = cfg
		j.plugLocked(device)
		return nil
	}
	if former, again := j.open(j.cfg); again == nil {
		j.plugLocked(former)
	} else {
		j.notify(fmt.Sprintf("link %q is down: %v", j.cfg.Name, again))
	}
	return err
}

// Close stops looking after the device and closes it. Endpoints refuse packets
// from then on. Further calls do nothing.
func (j *Jack) Close() error {
	j.changing.Lock()
	if j.closed {
		j.changing.Unlock()
		return nil
	}
	j.closed = true
	j.changing.Unlock()
	close(j.stop)
	<-j.done
	j.changing.Lock()
	defer j.changing.Unlock()
	return j.unplugLocked()
}

// plugLocked puts a device in place. The caller holds j.changing, or is the
// only one who knows j.
func (j *Jack) plugLocked(device Device) {
	j.mtu.Store(uint32(device.MTU()))
	j.offloads.Store(offloadsOf(device.Endpoint()))
	j.failures, j.failing, j.absent = device.Stats().Outages, false, 0
	j.device.Store(&device)
	device.Endpoint().Attach(j)
}

// unplugLocked closes the device, if there is one. The caller holds j.changing.
func (j *Jack) unplugLocked() error {
	device := j.device.Swap(nil)
	if device == nil {
		return nil
	}
	return (*device).Close()
}

// watch looks after the device until the jack is closed.
func (j *Jack) watch() {
	defer close(j.done)
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-ticker.C:
			j.look()
		}
	}
}

// look closes a device that is gone, and opens one that is to come back.
func (j *Jack) look() {
	j.changing.Lock()
	defer j.changing.Unlock()
	switch device := j.device.Load(); {
	case j.closed:
	case device == nil:
		j.absent++
		if j.absent%retries == 0 {
			j.retryLocked()
		}
	case j.isGoneLocked(*device):
		// It is no device any more, so closing cannot fail in a way that matters.
		_ = j.unplugLocked()
		j.notify(fmt.Sprintf("link %q is down: its device is gone", j.cfg.Name))
	}
}

// isGoneLocked reports whether all reads of all queues failed for as long as two looks take.
// The caller holds j.changing.
func (j *Jack) isGoneLocked(device Device) bool {
	failures := device.Stats().Outages
	grown := failures > j.failures
	gone := grown && j.failing
	j.failures, j.failing = failures, grown
	return gone
}

// retryLocked tries to open the device. The caller holds j.changing.
func (j *Jack) retryLocked() {
	device, err := j.open(j.cfg)
	if err != nil {
		return
	}
	j.plugLocked(device)
	j.notify(fmt.Sprintf("link %q is up: its device is back", j.cfg.Name))
}

// DeliverNetworkPacket passes a packet from the device to the endpoint that was
// attached last; without one it is dropped. It implements
// [gstack.NetworkDispatcher].
func (j *Jack) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	if e := j.current.Load(); e != nil {
		e.deliver(protocol, pkt)
	}
}

// DeliverLinkPacket implements [gstack.NetworkDispatcher]. TUN devices have no
// link headers.
func (j *Jack) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// attach makes e the endpoint that packets go to.
func (j *Jack) attach(e *endpoint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.attached = append(j.attached, e)
	j.current.Store(e)
}

// detach takes e away. Packets go to the one attached before it.
func (j *Jack) detach(e *endpoint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var current *endpoint
	rest := j.attached[:0]
	for _, other := range j.attached {
		if other != e {
			rest, current = append(rest, other), other
		}
	}
	clear(j.attached[len(rest):])
	j.attached = rest
	j.current.Store(current)
}
