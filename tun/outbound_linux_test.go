package tun_test

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/tun"
)

// uncutPacket returns the draft's packet as gVisor's TCP leaves it to be cut into
// segments of size octets: L3HdrLen knows nothing of extension headers.
func (d draft) uncutPacket(size int, views ...int) *gstack.PacketBuffer {
	pkt := split(d.unfinished().packet(), views...)
	pkt.GSOOptions = d.gso(size)
	if !d.v4 {
		pkt.GSOOptions.L3HdrLen = 40
	}
	return pkt
}

// plainPackets returns packets in which nothing is left undone.
func plainPackets(packets ...[]byte) (list []*gstack.PacketBuffer) {
	for _, octets := range packets {
		list = append(list, split(octets, 40, 8))
	}
	return list
}

// sendAll writes packets at once, whose references it takes.
func sendAll(e gstack.LinkEndpoint, pkts ...*gstack.PacketBuffer) (int, tcpip.Error) {
	var list gstack.PacketBufferList
	for _, pkt := range pkts {
		defer pkt.DecRef()
		list.PushBack(pkt)
	}
	return e.WritePackets(list)
}

// sent is a packet as it went out.
type sent struct {
	ahead  ahead
	octets []byte
}

// bare returns packets with nothing left undone, as they go out.
func bare(packets ...[]byte) (list []sent) {
	for _, octets := range packets {
		list = append(list, sent{octets: octets})
	}
	return list
}

// checkSent writes packets and checks what comes out.
func checkSent(t *testing.T, device *tun.Device, far int, pkts []*gstack.PacketBuffer, want []sent) {
	t.Helper()
	if n, err := sendAll(device.Endpoint(), pkts...); n != len(pkts) || err != nil {
		t.Fatalf("got %d, %v, want %d packets sent", n, err, len(pkts))
	}
	for i, w := range want {
		a, octets := aheadOf(receive(t, far))
		if a != w.ahead {
			t.Errorf("packet %d of %d: got %+v ahead, want %+v", i, len(want), a, w.ahead)
		}
		if !bytes.Equal(octets, w.octets) {
			t.Fatalf("packet %d of %d is\n%x, want\n%x", i, len(want), octets, w.octets)
		}
	}
	checkNothing(t, far)
}

// checkNothing checks that nothing more came out.
func checkNothing(t *testing.T, far int) {
	t.Helper()
	octets := make([]byte, 70000)
	if n, _, err := unix.Recvfrom(far, octets, unix.MSG_DONTWAIT); err != unix.EAGAIN {
		t.Errorf("%d octets more came out, %v: %x", n, err, octets[:max(0, n)])
	}
}

func TestDepartures(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	type departure struct {
		name string
		pkt  *gstack.PacketBuffer
		want sent
	}
	var table []departure
	for name, d := range map[string]draft{"TCP": tcpOf(900), "UDP": udpOf(900), "ICMP": icmpOf(900)} {
		for _, v := range []draft{d, d.over4(), d.behind(options8)} {
			name := fmt.Sprintf("%s, IPv4 %v, headers of %d octets", name, v.v4, v.start())
			table = append(table, departure{name, split(v.packet(), 40, 8), sent{ahead{}, v.packet()}})
		}
	}
	for _, d := range []draft{tcpOf(0), tcpOf(1000), tcpOf(1001), tcpOf(60000), tcpOf(60000).with(wire.CWR | wire.ECE), tcpOf(900).with(wire.CWR)} {
		for _, v := range []draft{d, d.over4(), d.behind(options8)} {
			name := fmt.Sprintf("TCP of %d octets left undone, flags %#x, IPv4 %v, headers of %d octets", len(v.payload), v.flags, v.v4, v.start())
			want := sent{v.unsummed(), v.unfinished().packet()}
			if len(v.payload) > 1000 {
				want.ahead = v.uncut(1000)
				if v.flags&wire.CWR != 0 {
					want.ahead.kind |= ecnBit
				}
			}
			for _, views := range [][]int{nil, {40, 32}, {13, 28, 9, 50, 1, 1, 300}} {
				table = append(table, departure{name, v.uncutPacket(1000, views...), want})
			}
		}
	}
	cut := tcpOf(1000).packet()
	byGVisor := split(cut, 40, 32)
	byGVisor.GSOOptions = gstack.GSO{Type: gstack.GSOGvisor, MSS: 1000, L3HdrLen: 40, MaxSize: 1 << 16}
	table = append(table, departure{"cut by gVisor", byGVisor, sent{ahead{}, cut}})
	for _, test := range table {
		t.Run(test.name, func(t *testing.T) {
			checkSent(t, device, far[0], []*gstack.PacketBuffer{test.pkt}, []sent{test.want})
		})
	}
}

// What the system does not do is done in software, with and without headers.
func TestSegmentsInSoftware(t *testing.T) {
	for name, features := range map[string]tun.Features{
		"nothing":  {},
		"checksum": {Checksum: true},
		"TSO4":     {Checksum: true, TSO4: true},
		"TSO6":     {Checksum: true, TSO6: true},
	} {
		device, far := overheaded(t, features, 1)
		for _, d := range []draft{tcpOf(0), tcpOf(1000), tcpOf(1001), tcpOf(60000), tcpOf(5000).with(wire.CWR | wire.PSH | wire.FIN)} {
			for _, v := range []draft{d, d.over4(), d.behind(options8)} {
				t.Run(fmt.Sprintf("%s, %d octets, flags %#x, IPv4 %v, headers of %d octets", name, len(v.payload), v.flags, v.v4, v.start()), func(t *testing.T) {
					pkt := v.uncutPacket(1000, 40, 32)
					want := bare(v.pieces(1000)...)
					switch whole := v.v4 && features.TSO4 || !v.v4 && features.TSO6; {
					case len(v.payload) <= 1000 && features.Checksum:
						want = []sent{{v.unsummed(), v.unfinished().packet()}}
					case len(v.payload) > 1000 && whole:
						a := v.uncut(1000)
						if v.flags&wire.CWR != 0 {
							a.kind |= ecnBit
						}
						want = []sent{{a, v.unfinished().packet()}}
					}
					checkSent(t, device, far[0], []*gstack.PacketBuffer{pkt}, want)
				})
			}
		}
	}
}

func TestSegmentsWithoutHeaders(t *testing.T) {
	device, far := pipe(t)
	for _, d := range []draft{tcpOf(1000), tcpOf(60000), tcpOf(30000).over4(), tcpOf(5000).behind(options8)} {
		if n, err := send(device.Endpoint(), d.uncutPacket(1400, 40, 32)); n != 1 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		for _, octets := range d.pieces(1400) {
			received(t, far, octets)
		}
		checkNothing(t, far)
	}
}

// A packet may have more views than a system call takes; the header ahead is one.
func TestManyViews(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	ones := bytes.Repeat([]byte{1}, 3000)
	views := make([]int, len(ones))
	for i, n := range ones {
		views[i] = int(n)
	}
	for _, n := range []int{1021, 1022, 1023, 1024, 1025, 3000} {
		large, small := tcpOf(60000), udpOf(4000)
		checkSent(t, device, far[0], []*gstack.PacketBuffer{large.uncutPacket(1400, views[:n]...), split(small.packet(), views[:n]...)},
			[]sent{{large.uncut(1400), large.unfinished().packet()}, {ahead{}, small.packet()}})
	}
}

// A large segment that is malformed is refused, the next one is not.
func TestMalformedDepartures(t *testing.T) {
	for _, features := range []tun.Features{everything, {}} {
		device, far := overheaded(t, features, 1)
		short := tcpOf(3000).unfinished().packet()
		noHeader := split(short[:50])
		noHeader.GSOOptions = tcpOf(0).gso(1000)
		offset := append([]byte(nil), short...)
		offset[52] = 0x40 // a TCP header of 16 octets
		badOffset := split(offset)
		badOffset.GSOOptions = tcpOf(0).gso(1000)
		outside := split(short[:70])
		outside.GSOOptions = tcpOf(0).gso(1000)
		n, err := sendAll(device.Endpoint(), noHeader, badOffset, outside, split(udpOf(9).packet()))
		if _, ok := err.(*tcpip.ErrNoBufferSpace); !ok || n != 1 {
			t.Errorf("%v: got %d, %v, want one sent, ErrNoBufferSpace", features, n, err)
		}
		if a, octets := aheadOf(receive(t, far[0])); a != (ahead{}) || !bytes.Equal(octets, udpOf(9).packet()) {
			t.Errorf("%v: got %x behind %+v", features, octets, a)
		}
		checkNothing(t, far[0])
		if got := device.Stats(); got != (tun.Stats{Refused: 3}) {
			t.Errorf("%v: got %+v, want three refused", features, got)
		}
	}
}

// Where there is no room, packets are refused and counted; what goes keeps its
// order.
func TestRefusalsKeepOrder(t *testing.T) {
	for name, large := range map[string]bool{"ordinary": false, "in software": true} {
		t.Run(name, func(t *testing.T) {
			device, far := overheaded(t, tun.Features{}, 1)
			var pkts []*gstack.PacketBuffer
			const count = 100
			for i := range count {
				d := udpOf(30000 + i)
				if large {
					d = tcpOf(30000 + i)
					pkts = append(pkts, d.uncutPacket(29000, 40))
					continue
				}
				pkts = append(pkts, split(d.packet(), 40))
			}
			n, err := sendAll(device.Endpoint(), pkts...)
			if _, ok := err.(*tcpip.ErrNoBufferSpace); !ok || n == 0 || n >= count {
				t.Fatalf("got %d, %v, want some sent, ErrNoBufferSpace", n, err)
			}
			if got := device.Stats(); got != (tun.Stats{Refused: uint64(count - n)}) {
				t.Errorf("%d sent, but %+v", n, got)
			}
			last, packets := -1, 0
			for {
				octets := make([]byte, 70000)
				got, _, err := unix.Recvfrom(far[0], octets, unix.MSG_DONTWAIT)
				if err == unix.EAGAIN {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if !large {
					if at := got - aheadSize - 48 - 30000; at <= last {
						t.Errorf("packet %d came after packet %d", at, last)
					} else {
						last = at
					}
				}
				packets++
			}
			if !large && packets != n || large && packets < 2*n {
				t.Errorf("%d came out of %d sent", packets, n)
			}
			// With room again all is well.
			if n, err := send(device.Endpoint(), split(udpOf(9).packet())); n != 1 || err != nil {
				t.Errorf("with room again: got %d, %v", n, err)
			}
		})
	}
}

// What is too long for the descriptor is refused alone.
func TestTooLongForDescriptor(t *testing.T) {
	near, far := socketpair(t)
	if err := unix.SetsockoptInt(near, unix.SOL_SOCKET, unix.SO_SNDBUF, 8192); err != nil {
		t.Fatal(err)
	}
	device, err := tun.Overheaded(65535, everything, near)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	n, refusal := sendAll(device.Endpoint(), split(udpOf(60000).packet()), split(udpOf(9).packet()))
	if _, ok := refusal.(*tcpip.ErrNoBufferSpace); !ok || n != 1 || device.Stats().Refused != 1 {
		t.Errorf("got %d, %v, %+v, want one sent, one refused", n, refusal, device.Stats())
	}
	if a, octets := aheadOf(receive(t, far)); a != (ahead{}) || !bytes.Equal(octets, udpOf(9).packet()) {
		t.Errorf("got %x behind %+v", octets, a)
	}
}
