package jack_test

import (
	"errors"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/jack"
	"github.com/v6stack/v6stack/tun"
)

var errRefused = errors.New("refused by the machine")

// A machine is what devices are opened on.
type machine struct {
	mu       sync.Mutex
	refusals int       // attempts that are to fail; guarded by mu
	attempts int       // guarded by mu
	devices  []*device // all there were; guarded by mu
	notices  []string  // guarded by mu
	offloads bool      // of devices opened from now on; guarded by mu
}

// open opens a device. It panics if another one is open.
func (m *machine) open(cfg tun.Config) (jack.Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts++
	if m.refusals > 0 {
		m.refusals--
		return nil, errRefused
	}
	if n := len(m.devices); n > 0 && !m.devices[n-1].closed {
		panic("two devices at once")
	}
	d := &device{machine: m, channel: channel.New(16, uint32(cfg.MTU), ""), cfg: cfg}
	if m.offloads {
		d.channel.LinkEPCapabilities = gstack.CapabilityRXChecksumOffload
		d.channel.SupportedGSOKind = gstack.HostGSOSupported
	}
	m.devices = append(m.devices, d)
	return d, nil
}

func (m *machine) notify(message string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notices = append(m.notices, message)
}

// refuse has so many attempts fail.
func (m *machine) refuse(attempts int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusals = attempts
}

// offload says whether devices that are opened from now on have offloads.
func (m *machine) offload(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offloads = on
}

// tried returns how many attempts to open a device there were.
func (m *machine) tried() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.attempts
}

// last returns the device opened last.
func (m *machine) last() *device {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.devices[len(m.devices)-1]
}

// said returns the notices since it was last called.
func (m *machine) said() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	notices := m.notices
	m.notices = nil
	return notices
}

// A device is one in memory.
type device struct {
	machine  *machine
	channel  *channel.Endpoint
	cfg      tun.Config
	failures uint64 // guarded by machine.mu
	gone     bool   // guarded by machine.mu
	closed   bool   // guarded by machine.mu
}

func (d *device) Endpoint() gstack.LinkEndpoint { return d.channel }

func (d *device) MTU() int { return d.cfg.MTU }

// Stats says that another read has failed if the device is gone.
func (d *device) Stats() tun.Stats {
	d.machine.mu.Lock()
	defer d.machine.mu.Unlock()
	if d.gone {
		d.failures++
	}
	return tun.Stats{Outages: d.failures}
}

func (d *device) Close() error {
	d.machine.mu.Lock()
	defer d.machine.mu.Unlock()
	if d.closed {
		panic("closed twice")
	}
	d.closed = true
	d.channel.Attach(nil)
	return nil
}

func (d *device) isClosed() bool {
	d.machine.mu.Lock()
	defer d.machine.mu.Unlock()
	return d.closed
}

// fail has one read fail, or with lasting all of them.
func (d *device) fail(lasting bool) {
	d.machine.mu.Lock()
	defer d.machine.mu.Unlock()
	d.failures++
	d.gone = lasting
}

// receive has a packet come from the host.
func (d *device) receive() {
	pkt := packet()
	d.channel.InjectInbound(header.IPv6ProtocolNumber, pkt)
	pkt.DecRef()
}

// sent returns how many packets went to the host since it was last called.
func (d *device) sent() int { return d.channel.Drain() }

// packet returns a packet, which the caller owns.
func packet() *gstack.PacketBuffer {
	return gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithData(make([]byte, 64))})
}

// write writes a packet and returns what that gave.
func write(e gstack.LinkEndpoint) tcpip.Error {
	var list gstack.PacketBufferList
	list.PushBack(packet())
	defer list.DecRef()
	_, err := e.WritePackets(list)
	return err
}

// A counter counts the packets that are delivered to it. While hold is not nil,
// it says there that one has come, and keeps it until it may go.
type counter struct {
	mu      sync.Mutex
	packets int // guarded by mu
	hold    chan chan struct{}
}

func (c *counter) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {
	c.mu.Lock()
	c.packets++
	c.mu.Unlock()
	if c.hold != nil {
		leave := make(chan struct{})
		c.hold <- leave
		<-leave
	}
}

func (c *counter) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// take returns how many packets came since it was last called.
func (c *counter) take() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.packets
	c.packets = 0
	return n
}

// base is the configuration that tests begin with.
var base = tun.Config{Name: "left", MTU: 1500}

// open opens a jack on the machine. The test closes it.
func open(t *testing.T, m *machine) *jack.Jack {
	t.Helper()
	j, err := jack.Open(base, m.open, m.notify)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// flows checks that packets pass between the device opened last and e, which
// delivers to c.
func flows(t *testing.T, m *machine, e gstack.LinkEndpoint, c *counter) {
	t.Helper()
	m.last().receive()
	if n := c.take(); n != 1 {
		t.Errorf("%d packets came up, want 1", n)
	}
	if err := write(e); err != nil || m.last().sent() != 1 {
		t.Errorf("a packet did not go down: %v", err)
	}
}

// refuses checks that e takes no packets, in the way that a stack knows.
func refuses(t *testing.T, e gstack.LinkEndpoint) {
	t.Helper()
	if err := write(e); err == nil || err.String() != new(tcpip.ErrClosedForSend).String() {
		t.Errorf("a packet without a device: %v", err)
	}
}
