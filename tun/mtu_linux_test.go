package tun_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/tun"
)

// setMTU sets the MTU of an interface in the namespace of the thread.
func setMTU(t *testing.T, name string, mtu int) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetMTU(link, mtu)
	}
	if err != nil {
		t.Error(err)
	}
}

// Changes of the MTU are told, once each, and nothing else is.
func TestMTUIsFollowed(t *testing.T) {
	needSandbox(t)
	device, other := open(t, tun.Config{}), open(t, tun.Config{})
	told := make(chan uint32, 100)
	stop, err := tun.FollowMTU(device.Name(), 1500, func(mtu uint32) { told <- mtu })
	if err != nil {
		t.Fatal(err)
	}
	event := func(step int) {
		t.Helper()
		link := linkOf(t, device)
		for _, err := range []error{
			netlink.LinkSetAlias(link, fmt.Sprint("step ", step)),
			netlink.LinkSetDown(link),
			netlink.LinkSetUp(link),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []uint32{9000, 1280, 65535, 1500}
	for i, mtu := range want {
		event(2 * i)
		setMTU(t, other.Name(), 2000+i)
		setMTU(t, device.Name(), int(mtu))
		event(2*i + 1)
	}
	setMTU(t, device.Name(), 1400)
	var got []uint32
	for mtu := uint32(0); mtu != 1400; got = append(got, mtu) {
		mtu = <-told
	}
	if want = append(want, 1400); !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	stop()
	setMTU(t, device.Name(), 1500)
	if len(told) > 0 {
		t.Error("told of a change after the end")
	}
}

// The endpoint has the MTU that the host's side was set to last, or the stack.
func TestMTUOfTheEndpoint(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend tun.Backend) {
		namespace(t, near)
		device := open(t, tun.Config{Backend: backend, Name: "v6mtu", MTU: 9000, NetNS: near})
		for _, mtu := range []uint32{1280, 65535, 1500} {
			in(t, near, func() { setMTU(t, "v6mtu", int(mtu)) })
			eventually(t, "the endpoint's MTU is that of the interface", func() bool { return device.Endpoint().MTU() == mtu })
		}
		device.Endpoint().SetMTU(1400)
		if got := device.Endpoint().MTU(); got != 1400 || device.MTU() != 9000 {
			t.Errorf("got %d, opened with %d, want 1400, 9000", got, device.MTU())
		}
		in(t, near, func() { setMTU(t, "v6mtu", 2000) })
		eventually(t, "the endpoint's MTU is that of the interface", func() bool { return device.Endpoint().MTU() == 2000 })
	})
}

// TCP goes on while the MTU changes.
func TestMTUChangesUnderTraffic(t *testing.T) {
	needSandbox(t)
	device := open(t, tun.Config{MTU: 9000, HostAddresses: bothHosts})
	s := transportStack(t, device.Endpoint())
	for _, f := range families {
		kernel, gvisor := dialKernel(t, s, f)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for i := 0; ; i++ {
				mtu := []int{1280, 9000, 1500, 65535}[i%4]
				setMTU(t, device.Name(), mtu)
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
		checkStreams(t, kernel, gvisor, wire.Payload(4<<20), pattern(4<<20), 100000)
		close(stop)
		<-stopped
	}
	if got := device.Stats(); got.Malformed+got.BadChecksum+got.ReadErrors+got.TooLong > 0 {
		t.Errorf("got %+v", got)
	}
}

// More changes than the kernel keeps for us do not end it.
func TestMTUIsFollowedBehindAFlood(t *testing.T) {
	needSandbox(t)
	device := open(t, tun.Config{})
	told, hold := make(chan uint32, 10000), make(chan struct{})
	stop, err := tun.FollowMTU(device.Name(), 1500, func(mtu uint32) {
		told <- mtu
		<-hold
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for i := range 2000 {
		setMTU(t, device.Name(), 2000+i)
	}
	setMTU(t, device.Name(), 9000)
	close(hold)
	for deadline := time.After(patience); ; {
		select {
		case mtu := <-told:
			if mtu == 9000 {
				return
			}
		case <-deadline:
			t.Fatal("the last change is not told")
		}
	}
}
