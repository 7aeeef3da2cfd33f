package tun_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/tun"
)

// flowPackets returns packets of one flow each: segments, fragments of a datagram
// and of a message, and datagrams, that tell their place in the flow.
func flowPackets(flow, count int) map[string][][]byte {
	flows := map[string][][]byte{}
	for _, d := range []draft{tcpOf(0), tcpOf(0).over4(), udpOf(0), udpOf(0).over4()} {
		d.from = uint16(1000 + flow)
		name := fmt.Sprintf("%d, protocol %d, IPv4 %v", flow, d.protocol, d.v4)
		for i := range count {
			d.payload = []byte(fmt.Sprintf("%s, %04d", name, i))
			d.seq += 5000 // so that no train comes of them
			flows[name] = append(flows[name], d.packet())
		}
	}
	datagram := udpOf(200 * count)
	datagram.from = uint16(1000 + flow)
	h := wire.Header{Source: ends6[0], Destination: ends6[1]}
	flows[fmt.Sprintf("%d, fragments", flow)] = h.Split(uint32(flow), wire.UDPProtocol, datagram.packet()[40:], 200)
	datagram.id = uint16(flow)
	whole := datagram.over4().packet()
	for at := 20; at < len(whole); at += 200 {
		fragment := append([]byte(nil), whole[:20]...)
		fragment = append(fragment, whole[at:min(at+200, len(whole))]...)
		place := uint16(at-20) / 8
		if at+200 < len(whole) {
			place |= 0x2000
		}
		fragment[2], fragment[3] = byte(len(fragment)>>8), byte(len(fragment))
		fragment[6], fragment[7] = byte(place>>8), byte(place)
		name := fmt.Sprintf("%d, fragments over IPv4", flow)
		flows[name] = append(flows[name], fragment)
	}
	return flows
}

// All packets of a flow go through one queue, in order, and all queues are used.
func TestFlowsKeepToQueues(t *testing.T) {
	for _, queues := range []int{1, 2, 3, 4} {
		t.Run(fmt.Sprint(queues), func(t *testing.T) {
			device, far := overheaded(t, everything, queues)
			const count = 20
			place := map[string]string{} // of a packet: its flow
			order := map[string][]string{}
			rounds := make([][][]byte, count+1)
			for flow := range 8 {
				for name, packets := range flowPackets(flow, count) {
					for i, octets := range packets {
						place[string(octets)] = name
						order[name] = append(order[name], string(octets))
						rounds[i] = append(rounds[i], octets)
					}
				}
			}
			for _, round := range rounds {
				pkts := plainPackets(round...)
				if n, err := sendAll(device.Endpoint(), pkts...); n != len(pkts) || err != nil {
					t.Fatalf("got %d, %v, want %d", n, err, len(pkts))
				}
			}
			of := map[string]int{} // of a flow: its queue
			used := map[int]bool{}
			for queue, fd := range far {
				octets := make([]byte, 70000)
				for {
					n, _, err := unix.Recvfrom(fd, octets, unix.MSG_DONTWAIT)
					if err == unix.EAGAIN {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					_, packet := aheadOf(octets[:n])
					flow := place[string(packet)]
					if at, ok := of[flow]; ok && at != queue {
						t.Fatalf("flow %s: in queue %d and %d", flow, at, queue)
					}
					of[flow], used[queue] = queue, true
					if len(order[flow]) == 0 || order[flow][0] != string(packet) {
						t.Fatalf("flow %s: out of order", flow)
					}
					order[flow] = order[flow][1:]
				}
			}
			for flow, missing := range order {
				if len(missing) > 0 {
					t.Errorf("flow %s: %d packets are missing", flow, len(missing))
				}
			}
			if len(used) != queues {
				t.Errorf("%d queues of %d are used for %d flows", len(used), queues, len(of))
			}
		})
	}
}

// A train goes through one queue.
func TestTrainsInQueues(t *testing.T) {
	device, far := overheaded(t, everything, 2)
	d := tcpOf(14000)
	pkts := plainPackets(d.pieces(1400)...)
	if n, err := sendAll(device.Endpoint(), pkts...); n != 10 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	for i, fd := range far {
		octets := make([]byte, 70000)
		n, _, err := unix.Recvfrom(fd, octets, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if a, packet := aheadOf(octets[:n]); a != d.uncut(1400) || !bytes.Equal(packet, d.unfinished().packet()) {
			t.Errorf("queue %d: got %d octets behind %+v", i, n, a)
		}
		checkNothing(t, fd)
		return
	}
	t.Error("nothing came out")
}

// Each queue is read, and what comes is delivered whichever queue it comes by.
func TestQueuesAreRead(t *testing.T) {
	device, far := overheaded(t, everything, 4)
	record := newRecorder()
	device.Endpoint().Attach(record)
	for round := range 100 {
		for queue, fd := range far {
			octets := udpOf(100 + 4*round + queue).packet()
			write(t, fd, ahead{}.before(octets))
			if p := record.next(t, anyPacket); !bytes.Equal(p.octets, octets) {
				t.Fatalf("queue %d: other octets were delivered", queue)
			}
		}
	}
}

// setQueue attaches a queue of a device to its interface, or detaches it.
func setQueue(t *testing.T, fd int, flags uint16) {
	t.Helper()
	request, err := unix.NewIfreq("")
	if err == nil {
		request.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETQUEUE, request)
	}
	if err != nil {
		t.Error(err)
	}
}

// checkFlows sends a datagram of each of many flows both ways.
func checkFlows(t *testing.T, device *tun.Device, record *recorder) {
	t.Helper()
	conn := listen(t)
	defer conn.Close()
	for i := range 64 {
		from := netip.AddrPortFrom(peer.Addr(), uint16(2000+i))
		payload := pattern(100 + i)
		if n, err := send(device.Endpoint(), split(udpPacket(from, localPort(conn), payload), 40)); n != 1 || err != nil {
			t.Fatalf("flow %d: got %d, %v", i, n, err)
		}
		got := make([]byte, 2000)
		n, source, err := conn.ReadFromUDPAddrPort(got)
		if err != nil || source != from || !bytes.Equal(got[:n], payload) {
			t.Fatalf("flow %d: got %d octets from %v, %v", i, n, source, err)
		}
		if _, err := conn.WriteToUDPAddrPort(payload, from); err != nil {
			t.Fatal(err)
		}
		p := record.next(t, isUDP)
		if !bytes.Equal(p.octets[48:], payload) {
			t.Fatalf("flow %d: other octets came", i)
		}
	}
}

// While a queue is detached, the others do what it did.
func TestQueuesDetached(t *testing.T) {
	needSandbox(t)
	device := open(t, tun.Config{Queues: 3, HostAddresses: []netip.Prefix{hostPrefix}})
	record := newRecorder()
	device.Endpoint().Attach(record)
	checkFlows(t, device, record)
	fds := device.Descriptors()
	for first := range fds {
		for _, gone := range [][]int{{first}, {first, (first + 1) % 3}} {
			for _, queue := range gone {
				setQueue(t, fds[queue], unix.IFF_DETACH_QUEUE)
			}
			checkFlows(t, device, record)
			if got := device.Stats(); got.Outages > 0 || got.Refused > 0 {
				t.Errorf("queues %v are detached: %+v", gone, got)
			}
			for _, queue := range gone {
				setQueue(t, fds[queue], unix.IFF_ATTACH_QUEUE)
			}
			checkFlows(t, device, record)
		}
	}
	for _, fd := range fds {
		setQueue(t, fd, unix.IFF_DETACH_QUEUE)
	}
	for _, fd := range fds {
		setQueue(t, fd, unix.IFF_ATTACH_QUEUE)
	}
	checkFlows(t, device, record)
}

// An interface that is gone has no queue that works.
func TestQueuesGone(t *testing.T) {
	needSandbox(t)
	device := open(t, tun.Config{Queues: 3})
	device.Endpoint().Attach(newRecorder())
	if device.Stats().Outages > 0 {
		t.Error("failing from the start")
	}
	if err := netlink.LinkDel(linkOf(t, device)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all queues fail", func() bool { return device.Stats().Outages > 1 })
	n, err := send(device.Endpoint(), split(udpOf(10).packet()))
	if _, ok := err.(*tcpip.ErrClosedForSend); !ok || n != 0 {
		t.Errorf("got %d, %v, want ErrClosedForSend", n, err)
	}
	if err := device.Close(); err != nil {
		t.Error(err)
	}
}

// TCP goes on while queues come and go.
func TestQueuesComeAndGo(t *testing.T) {
	needSandbox(t)
	device := open(t, tun.Config{Queues: 4, HostAddresses: bothHosts})
	s := transportStack(t, device.Endpoint())
	kernel, gvisor := dialKernel(t, s, families[0])
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		fds := device.Descriptors()[1:]
		for i := 0; ; i++ {
			fd := fds[i%len(fds)]
			setQueue(t, fd, unix.IFF_DETACH_QUEUE)
			select {
			case <-stop:
				setQueue(t, fd, unix.IFF_ATTACH_QUEUE)
				return
			case <-time.After(time.Millisecond):
			}
			setQueue(t, fd, unix.IFF_ATTACH_QUEUE)
		}
	}()
	checkStreams(t, kernel, gvisor, wire.Payload(4<<20), pattern(4<<20), 100000)
	close(stop)
	<-stopped
	if got := device.Stats(); got.Outages > 0 || got.Malformed+got.BadChecksum > 0 {
		t.Errorf("got %+v", got)
	}
}

// A goneQueue takes nothing while it is gone.
type goneQueue struct {
	gone    bool
	written int
	stopped chan struct{}
}

func (q *goneQueue) Read(func(*gstack.PacketBuffer)) error {
	<-q.stopped
	return os.ErrClosed
}

func (q *goneQueue) Write(pkts []*gstack.PacketBuffer) (int, error) {
	if q.gone {
		return 0, os.ErrClosed
	}
	q.written += len(pkts)
	return len(pkts), nil
}

func (q *goneQueue) Stop() { close(q.stopped) }

func (*goneQueue) Close() error { return nil }

// What a queue that is gone does not take, the next one does.
func TestWritesPassOverAQueueThatIsGone(t *testing.T) {
	for gone := range 8 {
		var queues []tun.Queue
		var all []*goneQueue
		for i := range 3 {
			q := &goneQueue{gone: gone&(1<<i) != 0, stopped: make(chan struct{})}
			all, queues = append(all, q), append(queues, q)
		}
		device := tun.New("", 1500, tun.Features{}, queues...)
		written := 0
		for flow := range 50 {
			d := udpOf(flow)
			d.from = uint16(flow)
			n, err := send(device.Endpoint(), split(d.packet()))
			_, closed := err.(*tcpip.ErrClosedForSend)
			if closed != (gone == 7) || n == 1 != (err == nil) {
				t.Errorf("queues %03b are gone: got %d, %v", gone, n, err)
			}
			written += n
		}
		for _, q := range all {
			written -= q.written
		}
		if written != 0 || device.Stats().Refused > 0 {
			t.Errorf("queues %03b are gone: %d packets more were reported than written, %+v", gone, written, device.Stats())
		}
		if err := device.Close(); err != nil {
			t.Error(err)
		}
	}
}
