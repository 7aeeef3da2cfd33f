package tun_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"golang.org/x/sys/unix"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/tun"
)

const (
	dataValid = unix.VIRTIO_NET_HDR_F_DATA_VALID
	needsSum  = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM
	ecnBit    = unix.VIRTIO_NET_HDR_GSO_ECN
)

// gso returns what gVisor is told of the draft's packet, which is left to be cut
// into segments of size octets.
func (d draft) gso(size int) gstack.GSO {
	kind := gstack.GSOTCPv6
	if d.v4 {
		kind = gstack.GSOTCPv4
	}
	return gstack.GSO{Type: kind, NeedsCsum: true, CsumOffset: 16, MSS: uint16(size), L3HdrLen: uint16(d.start())}
}

// finished returns the draft's packet alone, with its checksum.
func (d draft) finished() [][]byte {
	d.left = false
	return [][]byte{d.packet()}
}

// an arrival is a packet with a header ahead, and what becomes of it.
type arrival struct {
	name  string
	ahead ahead
	draft draft
	want  [][]byte // nil means the packet as it is
	left  gstack.GSO
	// vouched says that nobody needs to look at the checksums. Of what is left
	// undone nobody can.
	vouched bool
}

// whole returns arrivals in which nothing is left undone.
func whole() (table []arrival) {
	for name, d := range map[string]draft{"TCP": tcpOf(1000), "UDP": udpOf(999), "ICMP": icmpOf(57)} {
		for _, v := range []draft{d, d.over4(), d.behind(options8)} {
			name := fmt.Sprintf("%s, IPv4 %v, headers of %d octets", name, v.v4, v.start())
			table = append(table,
				arrival{name: name, draft: v},
				arrival{name: name + ", valid", draft: v, ahead: ahead{flags: dataValid}, vouched: true})
		}
	}
	return table
}

// summed returns arrivals of which a checksum is left to be finished.
func summed() (table []arrival) {
	for name, d := range map[string]draft{"UDP": udpOf(999), "no UDP": udpOf(0), "ICMP": icmpOf(57)} {
		for _, v := range []draft{d, d.over4(), d.behind(options8)} {
			if v.offset() == 2 && v.v4 {
				continue // Nobody leaves that.
			}
			v = v.unfinished()
			table = append(table, arrival{
				name:  fmt.Sprintf("sum of %s, IPv4 %v, headers of %d octets", name, v.v4, v.start()),
				draft: v, ahead: v.unsummed(), want: v.finished(), vouched: true,
			})
		}
	}
	for _, n := range []int{0, 1000, 65000} {
		for _, v := range []draft{tcpOf(n), tcpOf(n).over4(), tcpOf(n).behind(options8)} {
			v = v.unfinished()
			table = append(table, arrival{
				name:  fmt.Sprintf("sum of TCP, %d octets, IPv4 %v, headers of %d octets", n, v.v4, v.start()),
				draft: v, ahead: v.unsummed(), left: v.gso(math.MaxUint16), vouched: true,
			})
		}
	}
	return table
}

// large returns arrivals that are left to be cut.
func large() (table []arrival) {
	for _, n := range []int{1001, 20000, 65400} {
		for _, size := range []int{1000, 1428, 8948} {
			for _, v := range []draft{tcpOf(n), tcpOf(n).over4(), tcpOf(n).behind(options8)} {
				v = v.unfinished()
				table = append(table, arrival{
					name:  fmt.Sprintf("large TCP, %d octets by %d, IPv4 %v, headers of %d octets", n, size, v.v4, v.start()),
					draft: v, ahead: v.uncut(size), left: v.gso(size),
				})
			}
			for _, v := range []draft{udpOf(n), udpOf(n).over4(), udpOf(n).behind(options8)} {
				v = v.unfinished()
				table = append(table, arrival{
					name:  fmt.Sprintf("large UDP, %d octets by %d, IPv4 %v, headers of %d octets", n, size, v.v4, v.start()),
					draft: v, ahead: v.uncut(size), want: v.pieces(size), vouched: true,
				})
			}
		}
	}
	congested := tcpOf(3000).with(wire.CWR | wire.ECE | wire.PSH).unfinished()
	a := congested.uncut(1000)
	a.kind |= ecnBit
	table = append(table, arrival{name: "large TCP with CWR", draft: congested, ahead: a, left: congested.gso(1000)})
	return table
}

func TestArrivals(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	record := newRecorder()
	device.Endpoint().Attach(record)
	for _, test := range append(append(whole(), summed()...), large()...) {
		t.Run(test.name, func(t *testing.T) {
			write(t, far[0], test.ahead.before(test.draft.packet()))
			want := test.want
			if want == nil {
				want = [][]byte{test.draft.packet()}
			}
			for i, octets := range want {
				p := record.next(t, anyPacket)
				if !bytes.Equal(p.octets, octets) {
					t.Fatalf("packet %d of %d is\n%x, want\n%x", i, len(want), p.octets, octets)
				}
				if p.left != test.left || p.vouched != test.vouched {
					t.Errorf("packet %d: left %+v, vouched %v, want %+v, %v", i, p.left, p.vouched, test.left, test.vouched)
				}
				checkPins(t, p)
			}
		})
	}
	awaitQuiet(t, record, far[0])
	if got := device.Stats(); got != (tun.Stats{}) {
		t.Errorf("got %+v, want that nothing was dropped", got)
	}
}

// checkPins checks that the headers stand apart and that a packet pins little more
// memory than it has octets.
func checkPins(t testing.TB, p packet) {
	t.Helper()
	pinned := 0
	for _, chunk := range p.chunks {
		pinned += chunk
	}
	if p.chunks[0] > 128 || p.views[0] > 128 {
		t.Errorf("a first view of %d octets in a chunk of %d", p.views[0], p.chunks[0])
	}
	limit := 4 * max(len(p.octets), 544) // headers and one small chunk
	if len(p.octets) > 60000 {
		limit = 3 * len(p.octets) / 2
	}
	if pinned > limit {
		t.Errorf("%d octets keep %d, want at most %d: chunks %v", len(p.octets), pinned, limit, p.chunks)
	}
}

// awaitQuiet waits until all that was written to fd before has been looked at,
// and checks that nothing more was delivered.
func awaitQuiet(t testing.TB, record *recorder, fd int) {
	t.Helper()
	last := udpOf(7).packet()
	write(t, fd, ahead{}.before(last))
	if p := record.next(t, anyPacket); !bytes.Equal(p.octets, last) {
		t.Errorf("a packet was delivered that should not be: %x", p.octets)
	}
}

// A whole segment pins what it fills, whatever its size.
func TestPins(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	record := newRecorder()
	device.Endpoint().Attach(record)
	for n := 0; n < 65000; n = n*9/8 + 1 {
		d := tcpOf(n).unfinished()
		write(t, far[0], d.uncut(max(1, n/2)).before(d.packet()))
		checkPins(t, record.next(t, anyPacket))
	}
}

// Datagrams pin little, however small the pieces are that
// a large one is cut into.
func TestPinsOfDatagrams(t *testing.T) {
	device, far := overheaded(t, everything, 1)
	record := newRecorder()
	device.Endpoint().Attach(record)
	for _, size := range []int{1, 10, 100, 500, 1000, 1472, 9000, 30000} {
		d := udpOf(min(65000, 60*size)).unfinished()
		write(t, far[0], d.uncut(size).before(d.packet()))
		for range d.pieces(size) {
			checkPins(t, record.next(t, anyPacket))
		}
	}
}
