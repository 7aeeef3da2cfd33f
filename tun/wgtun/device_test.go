package wgtun_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	wgdevice "golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/tun/tuntest"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/tun"
	"github.com/v6stack/v6stack/tun/wgtun"
)

func TestNewRefuses(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name   string
		change func(*fake)
		want   string
	}{
		{"no name", func(f *fake) { f.nameErr = broken }, "wgtun: ask for the name of the device: broken"},
		{"no MTU", func(f *fake) { f.mtuErr = broken }, "wgtun: ask for the MTU of fake0: broken"},
		{"MTU 0", func(f *fake) { f.mtu = 0 }, "wgtun: the MTU of fake0, 0, is not within 1…65535"},
		{"MTU too large", func(f *fake) { f.mtu = 65536 }, "wgtun: the MTU of fake0, 65536, is not within 1…65535"},
		{"no batch", func(f *fake) { f.batch = 0 }, "wgtun: the batch size of fake0, 0, is below 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(1)
			test.change(f)
			_, err := wgtun.New(f)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err := f.Close(); err != nil { // It is still ours, and open.
				t.Error(err)
			}
		})
	}
}

func TestDevice(t *testing.T) {
	device := newFake(1).open(t)
	if device.Name() != "fake0" || device.MTU() != 1420 || device.Endpoint().MTU() != 1420 {
		t.Errorf("got %s, MTU %d, of the endpoint %d", device.Name(), device.MTU(), device.Endpoint().MTU())
	}
	if got := device.Features(); got != (tun.Features{Queues: 1}) || device.Endpoint().Capabilities() != gstack.CapabilityNone {
		t.Errorf("got %v and %v, want no offloads", got, device.Endpoint().Capabilities())
	}
}

// Views are of the size that packets need, the headers apart.
func TestRead(t *testing.T) {
	f := newFake(8)
	device := f.open(t)
	arrived := make(sink, 16)
	device.Endpoint().Attach(arrived)
	sizes := []int{1, 128, 129, 1420, 9000, 65535}
	var packets [][]byte
	for _, size := range sizes {
		packets = append(packets, pattern(size))
	}
	f.readings <- reading{packets: packets}
	for _, size := range sizes {
		views := arrived.next(t)
		if !bytes.Equal(bytes.Join(views, nil), pattern(size)) {
			t.Errorf("other octets came out of a packet of %d", size)
		}
		if len(views[0]) != min(size, 128) || len(views) > 2 {
			t.Errorf("a packet of %d is in %d views, the first of %d octets", size, len(views), len(views[0]))
		}
	}
}

// What goes wrong with a read costs no more than what it says.
func TestReadErrors(t *testing.T) {
	f := newFake(8)
	device := f.open(t)
	arrived := make(sink, 16)
	device.Endpoint().Attach(arrived)
	f.readings <- reading{packets: [][]byte{pattern(60), {}, pattern(61)}, err: wgdevice.ErrTooManySegments}
	f.readings <- reading{packets: [][]byte{pattern(70000)}} // cut off
	f.readings <- reading{}
	f.readings <- reading{packets: [][]byte{pattern(62)}, err: errFake}
	f.readings <- reading{packets: [][]byte{pattern(63)}}
	for size := 60; size < 64; size++ {
		if got := bytes.Join(arrived.next(t), nil); !bytes.Equal(got, pattern(size)) {
			t.Errorf("got %d octets, want %d", len(got), size)
		}
	}
	if got := device.Stats(); got.ReadErrors != 1 || got.NotIP != 1 {
		t.Errorf("got %+v, want one failed read and one packet that is not IP", got)
	}
}

func TestWriteInBatches(t *testing.T) {
	for batch, want := range map[int][]int{1: {1, 1, 1, 1, 1}, 2: {2, 2, 1}, 5: {5}, 128: {5}} {
		f := newFake(batch)
		device := f.open(t)
		sizes := []int{65535, 1, 40, 41, 1420}
		var packets []packetOf
		for _, size := range sizes {
			packets = append(packets, packetOf{octets: pattern(size)})
		}
		if n, err := write(device, packets...); n != 5 || err != nil {
			t.Fatalf("got %d, %v, want 5", n, err)
		}
		if !slices.Equal(f.batches, want) {
			t.Errorf("got batches %v, want %v", f.batches, want)
		}
		for i, size := range sizes {
			if !bytes.Equal(f.written[i], pattern(size)) {
				t.Errorf("other octets were written of a packet of %d", size)
			}
		}
	}
}

// A large segment is cut, whatever the batch.
func TestWriteLargeSegments(t *testing.T) {
	payload := pattern(30000)
	for _, batch := range []int{1, 7, 128} {
		f := newFake(batch)
		device := f.open(t)
		if n, err := write(device, large(payload, 1360)); n != 1 || err != nil {
			t.Fatalf("got %d, %v, want 1", n, err)
		}
		var got []byte
		for _, octets := range f.written {
			pkt := packetOf{octets: octets}.buffer()
			if len(octets) > 1420 || !offload.Valid(&pkt) {
				t.Errorf("a segment of %d octets, or one with a wrong checksum", len(octets))
			}
			pkt.Release()
			got = append(got, octets[60:]...)
		}
		if !bytes.Equal(got, payload) {
			t.Error("the segments hold other octets")
		}
	}
}

func TestWriteRefusals(t *testing.T) {
	ip := packetOf{octets: pattern(100)}
	many := large(pattern(10*1000), 1000)
	bad := large(pattern(3000), 1000)
	bad.octets[52] = 0 // The TCP data offset.
	alien := packetOf{octets: []byte{0x10, 1, 2}}
	for _, test := range []struct {
		name     string
		batch    int
		outcomes []error
		packets  []packetOf
		refused  int
	}{
		{"the only batch", 8, []error{errFake}, []packetOf{ip, ip, ip}, 3},
		{"the first of two", 2, []error{errFake}, []packetOf{ip, ip, ip}, 2},
		{"the last of two", 2, []error{nil, errFake}, []packetOf{ip, ip, ip}, 1},
		{"one by one", 1, []error{nil, errFake, nil}, []packetOf{ip, ip, ip}, 1},
		{"a packet of many batches", 4, []error{nil, errFake, errFake}, []packetOf{ip, many, ip}, 2},
		{"a packet of many batches, the first", 4, []error{errFake, nil, nil}, []packetOf{ip, ip, many, ip}, 3},
		{"not IP", 8, nil, []packetOf{ip, alien, ip}, 1},
		{"empty", 8, nil, []packetOf{ip, {}, ip}, 1},
		{"malformed", 8, nil, []packetOf{ip, bad, ip}, 1},
		{"malformed behind a failure", 8, []error{errFake}, []packetOf{ip, ip, bad, ip}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(test.batch)
			f.outcomes = test.outcomes
			device := f.open(t)
			n, err := write(device, test.packets...)
			_, full := err.(*tcpip.ErrNoBufferSpace)
			if n != len(test.packets)-test.refused || !full || device.Stats().Refused != uint64(test.refused) {
				t.Errorf("got %d, %v, %+v, want %d refused", n, err, device.Stats(), test.refused)
			}
			if n, err := write(device, ip); n != 1 || err != nil {
				t.Errorf("got %d, %v afterwards, want 1", n, err)
			}
		})
	}
}

// A device that is gone takes nothing any more.
func TestWriteToAClosedDevice(t *testing.T) {
	f := newFake(2)
	f.outcomes = []error{nil, fmt.Errorf("gone: %w", os.ErrClosed)}
	device := f.open(t)
	ip := packetOf{octets: pattern(100)}
	n, err := write(device, ip, ip, ip, large(pattern(9000), 1000))
	if _, closed := err.(*tcpip.ErrClosedForSend); n != 2 || !closed {
		t.Errorf("got %d, %v, want 2 and ErrClosedForSend", n, err)
	}
	if n, err := write(device, ip); n != 0 || err == nil {
		t.Errorf("got %d, %v afterwards, want 0", n, err)
	}
	if len(f.batches) != 2 {
		t.Errorf("%d batches were written, want 2", len(f.batches))
	}
}

func TestFollowsTheMTU(t *testing.T) {
	f := newFake(1)
	device := f.open(t)
	f.events <- wgdevice.EventUp
	f.setMTU(9000, nil)
	eventually(t, "an MTU of 9000", func() bool { return device.Endpoint().MTU() == 9000 })
	f.setMTU(0, nil)
	f.setMTU(70000, nil)
	f.setMTU(1300, errFake)
	f.events <- wgdevice.EventDown // Then the one before is dealt with.
	if got := device.Endpoint().MTU(); got != 9000 {
		t.Errorf("got MTU %d by an event that tells of none, want 9000", got)
	}
}

func TestClose(t *testing.T) {
	f := newFake(1)
	f.closeErr = errFake
	device := f.open(t)
	device.Endpoint().Attach(make(sink))
	for range 2 {
		if err := device.Close(); !errors.Is(err, errFake) {
			t.Errorf("got %v, want what closing gave", err)
		}
	}
	n, err := write(device, packetOf{octets: pattern(100)})
	if _, closed := err.(*tcpip.ErrClosedForSend); n != 0 || !closed || len(f.batches) > 0 {
		t.Errorf("got %d, %v of a closed device, want ErrClosedForSend", n, err)
	}
}

// Linux' device may say so of a part of it.
func TestCloseWhatClosedItself(t *testing.T) {
	for _, err := range []error{os.ErrClosed, syscall.EPIPE} {
		f := newFake(1)
		f.closeErr = fmt.Errorf("write |1: %w", err)
		if err := f.open(t).Close(); err != nil {
			t.Errorf("got %v, want none", err)
		}
	}
}

// wireguard's own device for tests: a write waits for somebody to read.
func TestChannelDevice(t *testing.T) {
	channels := tuntest.NewChannelTUN()
	device, err := wgtun.New(channels.TUN())
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(sink, 1)
	device.Endpoint().Attach(arrived)
	ping := tuntest.Ping(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"))
	channels.Outbound <- ping
	if got := bytes.Join(arrived.next(t), nil); !bytes.Equal(got, ping) {
		t.Error("other octets came in")
	}
	wrote := make(chan string)
	go func() { // until the packet is read
		n, err := write(device, packetOf{octets: ping})
		wrote <- fmt.Sprint(n, err)
	}()
	if got := <-channels.Inbound; !bytes.Equal(got, ping) {
		t.Error("other octets went out")
	}
	if got := <-wrote; !strings.HasPrefix(got, "1 ") {
		t.Errorf("got %s, want 1", got)
	}
	go func() { // until the device is closed
		n, err := write(device, packetOf{octets: ping})
		wrote <- fmt.Sprint(n, err)
	}()
	if err := device.Close(); err != nil {
		t.Error(err)
	}
	if got := <-wrote; !strings.HasPrefix(got, "0 ") {
		t.Errorf("got %s of a closed device, want 0", got)
	}
}

// large returns a large TCP segment over IPv6.
func large(payload []byte, mss uint16) packetOf {
	source, destination := tcpip.AddrFrom16([16]byte{0xfd, 15: 1}), tcpip.AddrFrom16([16]byte{0xfd, 15: 2})
	length := uint16(header.TCPMinimumSize + len(payload))
	octets := make([]byte, header.IPv6MinimumSize+header.TCPMinimumSize, header.IPv6MinimumSize+int(length))
	header.IPv6(octets).Encode(&header.IPv6Fields{
		PayloadLength: length, TransportProtocol: header.TCPProtocolNumber, HopLimit: 64,
		SrcAddr: source, DstAddr: destination,
	})
	h := header.TCP(octets[header.IPv6MinimumSize:])
	h.Encode(&header.TCPFields{
		SrcPort: 1, DstPort: 2, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagAck, WindowSize: 500,
	})
	h.SetChecksum(header.PseudoHeaderChecksum(header.TCPProtocolNumber, source, destination, length))
	return packetOf{
		octets: append(octets, payload...),
		gso: gstack.GSO{
			Type: gstack.GSOTCPv6, NeedsCsum: true, CsumOffset: header.TCPChecksumOffset,
			MSS: mss, L3HdrLen: header.IPv6MinimumSize,
		},
	}
}
