package wgtun_test

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	wgdevice "golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/tun"
	"github.com/v6stack/v6stack/tun/wgtun"
)

// A reading is what a fake device reads at once.
type reading struct {
	packets [][]byte
	err     error
}

// fake is a device of wireguard's that does as it is told. It spoils what it may:
// the octets ahead of a packet, and what it has written.
type fake struct {
	batch    int
	mtu      int
	mtuErr   error
	nameErr  error
	readings chan reading
	events   chan wgdevice.Event
	closed   chan struct{}
	closeErr error

	// mu guards what follows.
	mu      sync.Mutex
	written [][]byte // packets
	batches []int    // packets of each batch
	// outcomes are those of the writes to come; nil after them.
	outcomes []error
}

func newFake(batch int) *fake {
	return &fake{
		batch:    batch,
		mtu:      1420,
		readings: make(chan reading, 16),
		events:   make(chan wgdevice.Event),
		closed:   make(chan struct{}),
	}
}

func (f *fake) File() *os.File                { return nil }
func (f *fake) Name() (string, error)         { return "fake0", f.nameErr }
func (f *fake) Events() <-chan wgdevice.Event { return f.events }
func (f *fake) BatchSize() int                { return f.batch }

func (f *fake) MTU() (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mtu, f.mtuErr
}

// setMTU changes the MTU and tells of it.
func (f *fake) setMTU(mtu int, err error) {
	f.mu.Lock()
	f.mtu, f.mtuErr = mtu, err
	f.mu.Unlock()
	f.events <- wgdevice.EventMTUUpdate
}

func (f *fake) Close() error {
	close(f.closed) // twice would panic
	close(f.events)
	return f.closeErr
}

func (f *fake) Read(buffers [][]byte, sizes []int, offset int) (int, error) {
	select {
	case <-f.closed:
		return 0, os.ErrClosed
	case r := <-f.readings:
		if len(buffers) != f.batch || len(sizes) != f.batch || offset < 10 {
			panic("a read without room for a batch")
		}
		for i, packet := range r.packets {
			copy(buffers[i], "spoiled all over")
			copy(buffers[i][offset:], packet)
			sizes[i] = len(packet)
		}
		return len(r.packets), r.err
	}
}

func (f *fake) Write(buffers [][]byte, offset int) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(buffers) > f.batch || offset < 10 {
		panic("a batch too large, or without room")
	}
	f.batches = append(f.batches, len(buffers))
	for i := range buffers {
		f.written = append(f.written, bytes.Clone(buffers[i][offset:]))
		whole := buffers[i][:cap(buffers[i])]
		if len(whole) < offset+tun.MaxMTU {
			panic("no room to make large segments in")
		}
		clear(whole)
		buffers[i] = whole
	}
	if len(f.outcomes) == 0 {
		return len(buffers), nil
	}
	err := f.outcomes[0]
	f.outcomes = f.outcomes[1:]
	return 0, err
}

// open returns a device over f, which the test closes.
func (f *fake) open(t *testing.T) *tun.Device {
	t.Helper()
	device, err := wgtun.New(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	return device
}

// sink is a dispatcher that keeps the octets of what it is given, view by view.
type sink chan [][]byte

func (s sink) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	var views [][]byte
	for _, octets := range pkt.AsSlices() {
		views = append(views, bytes.Clone(octets))
	}
	s <- views
}

func (s sink) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// next returns the views of the next packet.
func (s sink) next(t *testing.T) [][]byte {
	t.Helper()
	select {
	case views := <-s:
		return views
	case <-time.After(patience):
		t.Fatal("no packet came")
		return nil
	}
}

// pattern returns n octets that no shift maps onto themselves, the first of them
// that of an IPv6 packet.
func pattern(n int) []byte {
	octets := make([]byte, n)
	for i := range octets {
		octets[i] = byte(i) ^ byte(i>>8)*31
	}
	if n > 0 {
		octets[0] = 0x60
	}
	return octets
}

// A packetOf is one that a test writes.
type packetOf struct {
	octets []byte
	gso    gstack.GSO
}

// write writes packets, each in two views behind some unused room, and returns
// what became of them.
func write(device *tun.Device, packets ...packetOf) (int, tcpip.Error) {
	var list gstack.PacketBufferList
	for _, p := range packets {
		cut := min(40, len(p.octets))
		pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{
			ReserveHeaderBytes: cut + 30,
			Payload:            buffer.MakeWithData(p.octets[cut:]),
		})
		copy(pkt.NetworkHeader().Push(cut), p.octets)
		pkt.GSOOptions = p.gso
		list.PushBack(pkt)
	}
	defer list.DecRef()
	return device.Endpoint().WritePackets(list)
}

var errFake = errors.New("no room in the fake")

// buffer returns the octets as a buffer, the caller's.
func (p packetOf) buffer() buffer.Buffer { return buffer.MakeWithData(p.octets) }
