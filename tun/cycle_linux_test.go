package tun_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/tun"
)

// checkLeft checks that cycles leave neither descriptors nor goroutines.
func checkLeft(t *testing.T, cycles int, cycle func(i int)) {
	t.Helper()
	cycle(-1) // What Go's poller and netlink open once is no leak.
	goroutines, before := runtime.NumGoroutine(), descriptors(t)
	for i := range cycles {
		cycle(i)
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// Devices over descriptors come and go, some attached, some in use, some with
// packets that nobody takes.
func TestDescriptorsComeAndGo(t *testing.T) {
	large, datagrams := tcpOf(20000).unfinished(), udpOf(20000).unfinished()
	arriving := [][]byte{
		large.uncut(1400).before(large.packet()),
		datagrams.uncut(1400).before(datagrams.packet()),
		ahead{}.before(icmpOf(500).packet()),
		{1, 2, 3},
	}
	checkLeft(t, 10000, func(i int) {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(ends[1])
		var device *tun.Device
		if i%2 == 0 {
			device, err = tun.Overheaded(65535, everything, ends[0])
		} else {
			device, err = tun.Open(tun.Config{FD: ends[0]})
		}
		if err != nil {
			t.Fatal(err)
		}
		record := newRecorder()
		if i%3 > 0 {
			device.Endpoint().Attach(record)
		}
		for _, octets := range arriving {
			write(t, ends[1], octets)
		}
		if i%4 > 0 {
			if n, err := send(device.Endpoint(), split(udpOf(100).packet(), 40)); n != 1 || err != nil {
				t.Fatalf("got %d, %v", n, err)
			}
		}
		if i%30 == 2 {
			record.next(t, anyPacket)
		}
		if err := device.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// So do interfaces, with as many queues as there may be.
func TestInterfacesComeAndGo(t *testing.T) {
	needSandbox(t)
	checkLeft(t, 150, func(i int) {
		device, err := tun.Open(tun.Config{Name: "v6cycle", Queues: 1 + (i+16)%4, HostAddresses: bothHosts})
		if err != nil {
			t.Fatal(err)
		}
		if i%3 > 0 {
			device.Endpoint().Attach(newRecorder())
		}
		if i%2 > 0 {
			if n, err := send(device.Endpoint(), tcpOf(20000).uncutPacket(1400, 40)); n != 1 || err != nil {
				t.Fatalf("got %d, %v", n, err)
			}
		}
		if err := device.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// repeatedly calls step until stop is closed.
func repeatedly(workers *sync.WaitGroup, stop <-chan struct{}, step func()) {
	workers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				step()
			}
		}
	})
}

// Readers, writers, attachments and the end, all at once, with everything that
// can be left undone.
func TestCloseUnderEverything(t *testing.T) {
	segments := tcpOf(14000).pieces(1400)
	large, datagrams := tcpOf(30000).unfinished(), udpOf(30000).unfinished()
	for round := range 20 {
		features := everything
		if round%2 == 1 {
			features = tun.Features{}
		}
		device, far := overheaded(t, features, 1+round%3)
		endpoint := device.Endpoint()
		record := newRecorder()
		endpoint.Attach(record)
		var workers sync.WaitGroup
		stop := make(chan struct{})
		for _, fd := range far {
			for _, octets := range [][]byte{
				large.uncut(1400).before(large.packet()),
				datagrams.uncut(1400).before(datagrams.packet()),
				ahead{}.before(icmpOf(500).packet()),
			} {
				repeatedly(&workers, stop, func() { unix.SendmsgN(fd, octets, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) })
			}
			sink := make([]byte, 70000)
			repeatedly(&workers, stop, func() { unix.Recvfrom(fd, sink, unix.MSG_DONTWAIT) })
		}
		repeatedly(&workers, stop, func() { sendAll(endpoint, plainPackets(segments...)...) })
		repeatedly(&workers, stop, func() { send(endpoint, large.uncutPacket(1400, 40)) })
		repeatedly(&workers, stop, func() { send(endpoint, udpOf(500).behind(options8).over4().uncutPacket(1400, 40)) })
		repeatedly(&workers, stop, func() {
			endpoint.Attach(nil)
			endpoint.Wait()
			endpoint.Attach(record)
		})
		record.next(t, anyPacket)
		if err := device.Close(); err != nil {
			t.Error(err)
		}
		close(stop)
		workers.Wait()
	}
}

// A device ends, or only its stack, while TCP fills it both ways.
func TestEndUnderTCP(t *testing.T) {
	needSandbox(t)
	for i, cfg := range []tun.Config{{}, {Queues: 1}, {Queues: 4}, {NoOffload: true}, {Backend: tun.Water}, {}} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			cfg.HostAddresses = bothHosts
			device := open(t, cfg)
			s := transportStack(t, device.Endpoint())
			kernel, gvisor := dialKernel(t, s, families[i%2])
			var workers sync.WaitGroup
			arrived := make(chan struct{}, 2)
			for _, way := range [][2]net.Conn{{kernel, gvisor}, {gvisor, kernel}} {
				workers.Go(func() {
					for octets := wire.Payload(1 << 20); ; {
						if _, err := way[0].Write(octets); err != nil {
							return
						}
					}
				})
				workers.Go(func() {
					octets := make([]byte, 1<<20)
					if _, err := io.ReadFull(way[1], octets); err != nil {
						t.Error(err)
					}
					arrived <- struct{}{}
					io.Copy(io.Discard, way[1])
				})
			}
			for range 2 {
				<-arrived
			}
			if i%2 == 1 {
				if err := s.RemoveNIC(nic); err != nil {
					t.Error(err)
				}
			}
			if err := device.Close(); err != nil {
				t.Error(err)
			}
			now := time.Now()
			if err := errors.Join(kernel.SetDeadline(now), gvisor.SetDeadline(now)); err != nil {
				t.Error(err)
			}
			workers.Wait()
			kernel.(*net.TCPConn).SetLinger(0)
			kernel.Close()
			gvisor.Close()
		})
	}
}
