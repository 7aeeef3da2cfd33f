package tun_test

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/v6stack/v6stack/tun"
)

func TestExplainWater(t *testing.T) {
	for _, test := range []struct {
		err, want error
	}{
		{fmt.Errorf("error in syscall.RawSyscall(syscall.SYS_CONNECT, ...): %v", syscall.EPERM), tun.ErrPermission},
		{&net.OpError{Op: "open", Err: syscall.EACCES}, tun.ErrPermission},
		{fmt.Errorf("error in syscall.RawSyscall(syscall.SYS_CONNECT, ...): %v", syscall.EBUSY), tun.ErrNameTaken},
		{errors.New("Failed to find the tap device in registry with specified ComponentId 'tap0901', TAP driver may be not installed"), tun.ErrNoDevice},
		{errors.New("something else"), nil},
	} {
		got := tun.ExplainWater(test.err)
		if !errors.Is(got, test.err) {
			t.Errorf("%v does not wrap %v", got, test.err)
		}
		for _, sentinel := range []error{tun.ErrConfig, tun.ErrNoDevice, tun.ErrPermission, tun.ErrNameTaken} {
			if errors.Is(got, sentinel) != (sentinel == test.want) {
				t.Errorf("%v: it wraps %v: %v", test.err, sentinel, errors.Is(got, sentinel))
			}
		}
	}
}

func TestCheckUtun(t *testing.T) {
	for name, ok := range map[string]bool{
		"": true, "utun0": true, "utun233": true,
		"utun": false, "tun0": false, "utun-1": false, "utun+1": false, "utun1x": false, "Utun1": false, "utun4294967295": false,
	} {
		if err := tun.CheckUtun(name); (err == nil) != ok || !ok && !errors.Is(err, tun.ErrConfig) {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestTapNetwork(t *testing.T) {
	prefix := func(s string) net.Addr {
		ip, network, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		network.IP = ip
		return network
	}
	for _, test := range []struct {
		addresses []net.Addr
		want      string
	}{
		{nil, "192.168.1.10/24"},
		{[]net.Addr{prefix("fd00::1/64"), prefix("169.254.3.4/16")}, "192.168.1.10/24"},
		{[]net.Addr{prefix("fe80::1/64"), prefix("10.1.2.3/8"), prefix("10.9.9.9/8")}, "10.1.2.3/8"},
		{[]net.Addr{&net.IPAddr{IP: net.IPv4(10, 0, 0, 1)}}, "192.168.1.10/24"},
	} {
		if got := tun.TapNetwork(test.addresses); got != test.want {
			t.Errorf("%v: got %s, want %s", test.addresses, got, test.want)
		}
	}
}

func TestCheckMTU(t *testing.T) {
	if err := tun.CheckMTU("tap", 1500, 1500); err != nil {
		t.Error(err)
	}
	err := tun.CheckMTU("tap", 1500, 9000)
	const want = `bad configuration: MTU 9000 is not that of interface "tap", 1500; change either`
	if !errors.Is(err, tun.ErrConfig) || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}
