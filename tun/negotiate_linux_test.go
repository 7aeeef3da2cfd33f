package tun_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/tun"
)

// Flags of TUNSETOFFLOAD, of features that go together.
const (
	sums     = unix.TUN_F_CSUM
	segments = sums | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	ecn      = segments | unix.TUN_F_TSO_ECN
	uso      = ecn | unix.TUN_F_USO4 | unix.TUN_F_USO6
)

// named says what the flags of TUNSETOFFLOAD are called here.
func named(flags int) tun.Features {
	return tun.Features{
		Checksum: flags&unix.TUN_F_CSUM != 0,
		TSO4:     flags&unix.TUN_F_TSO4 != 0,
		TSO6:     flags&unix.TUN_F_TSO6 != 0,
		ECN:      flags&unix.TUN_F_TSO_ECN != 0,
		USO:      flags&unix.TUN_F_USO4 != 0 && flags&unix.TUN_F_USO6 != 0,
	}
}

// The best that is granted is had, and nothing that must not be is asked for.
func TestSettle(t *testing.T) {
	for _, test := range []struct {
		none    bool
		granted int
		asked   []int
	}{
		{false, uso, []int{uso}},
		{false, ecn, []int{uso, ecn}},
		{false, segments, []int{uso, ecn, segments}},
		{false, ecn &^ unix.TUN_F_TSO4, []int{uso, ecn, segments, sums}},
		{false, sums, []int{uso, ecn, segments, sums}},
		{false, 0, []int{uso, ecn, segments, sums, 0}},
		{true, uso, []int{0}},
		{true, 0, []int{0}},
	} {
		var asked []int
		got, err := tun.Settle(test.none, func(flags int) error {
			asked = append(asked, flags)
			if flags&^test.granted != 0 {
				return unix.EINVAL
			}
			return nil
		})
		if want := named(test.asked[len(test.asked)-1]); got != want || err != nil || !slices.Equal(asked, test.asked) {
			t.Errorf("granted %#x, none %v: got %v, %v, asked for %#x, want %v, %#x", test.granted, test.none, got, err, asked, want, test.asked)
		}
	}
	if got, err := tun.Settle(false, func(int) error { return unix.EPERM }); got != (tun.Features{}) || !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v, %v of a kernel that grants nothing, want EPERM", got, err)
	}
}

// raw opens the interface called name without any of our code.
func raw(t *testing.T, name string, flags uint16) int {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		t.Fatal(err)
	}
	return fd
}

// probe returns what this kernel grants.
func probe(t *testing.T) tun.Features {
	t.Helper()
	fd := raw(t, "v6probe", unix.IFF_VNET_HDR)
	defer unix.Close(fd)
	for _, flags := range []int{uso, ecn, segments, sums} {
		if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, flags) == nil {
			return named(flags)
		}
	}
	return tun.Features{}
}

// inQueues returns features of a device of n queues.
func inQueues(n int, f tun.Features) tun.Features {
	f.Queues = n
	return f
}

func TestFeaturesOfTheKernel(t *testing.T) {
	needSandbox(t)
	granted := probe(t)
	if !granted.Checksum || !granted.TSO4 || !granted.TSO6 {
		t.Fatalf("this kernel grants only %v", granted)
	}
	useful := min(runtime.GOMAXPROCS(0), 4)
	for queues, want := range map[int]int{0: useful, 1: 1, 2: 2, 3: 3, tun.MaxQueues: tun.MaxQueues} {
		for _, none := range []bool{false, true} {
			features := granted
			if none {
				features = tun.Features{}
			}
			device := open(t, tun.Config{Backend: tun.Native, Queues: queues, NoOffload: none})
			if got := device.Features(); got != inQueues(want, features) {
				t.Errorf("Queues %d, NoOffload %v: got %v, want %v", queues, none, got, inQueues(want, features))
			}
			checkFlags(t, device, none)
			device.Close()
		}
	}
	for _, queues := range []int{-1, tun.MaxQueues + 1} {
		device, err := tun.Open(tun.Config{Backend: tun.Native, Queues: queues})
		if err == nil {
			device.Close()
		}
		if !errors.Is(err, tun.ErrConfig) || !strings.Contains(err.Error(), "Queues: "+strconv.Itoa(queues)) {
			t.Errorf("Queues %d: got %v, want ErrConfig", queues, err)
		}
	}
	device := open(t, tun.Config{Backend: tun.Water})
	if got := device.Features(); got != inQueues(1, tun.Features{}) {
		t.Errorf("water: got %v", got)
	}
}

// checkFlags checks how the interface of device was opened.
func checkFlags(t *testing.T, device *tun.Device, none bool) {
	t.Helper()
	for _, fd := range device.Descriptors() {
		request, err := unix.NewIfreq("")
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, request); err != nil {
			t.Fatal(err)
		}
		flags := request.Uint16()
		if many := flags&unix.IFF_MULTI_QUEUE != 0; many != (device.Features().Queues > 1) {
			t.Errorf("%v: opened with flags %#x", device.Features(), flags)
		}
		if headers := flags&unix.IFF_VNET_HDR != 0; headers == none {
			t.Errorf("NoOffload %v: opened with flags %#x", none, flags)
		}
	}
}

// persistent makes an interface that stays until the test ends. left are the
// offloads that somebody had and left on.
func persistent(t *testing.T, name string, flags uint16, left int) {
	t.Helper()
	fd := raw(t, name, flags|unix.IFF_VNET_HDR)
	defer unix.Close(fd)
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, left); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkDel(link)
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// largeDatagrams has the kernel send datagrams of 1,000 octets at once, so that a
// device with USO gets them as one. It returns what they contain.
func largeDatagrams(t *testing.T, to netip.AddrPort, count int) []byte {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	control, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := control.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 1000)
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	payload := wire.Payload(1000*count - 300)
	if _, err := conn.Write(payload); err != nil {
		t.Fatal(err)
	}
	return payload
}

// checkDatagrams checks that the packets that come are those of largeDatagrams,
// with their checksums.
func checkDatagrams(t *testing.T, payload []byte, next func() []byte) {
	t.Helper()
	for len(payload) > 0 {
		octets := next()
		packet := buffer.MakeWithData(octets)
		if !offload.Valid(&packet) {
			t.Errorf("a datagram's checksum is wrong: %x", octets)
		}
		packet.Release()
		piece := payload[:min(1000, len(payload))]
		headers := len(octets) - len(piece)
		if headers != 28 && headers != 48 || !bytes.Equal(octets[headers:], piece) {
			t.Fatalf("a packet of %d octets is not the datagram of %d", len(octets), len(piece))
		}
		payload = payload[len(piece):]
	}
}

// nextUDP returns the next packet with a datagram.
func nextUDP(t *testing.T, record *recorder) func() []byte {
	return func() []byte {
		return record.next(t, func(p packet) bool {
			return p.protocol == header.IPv4ProtocolNumber || isUDP(p)
		}).octets
	}
}

var (
	hostPrefix4 = netip.MustParsePrefix("192.0.2.1/24")
	peer4       = netip.MustParseAddrPort("192.0.2.2:9")
	bothHosts   = []netip.Prefix{hostPrefix, hostPrefix4}
)

// Whatever somebody left of an interface, we have what we asked for, and leave it
// as one expects to find it.
func TestPersistentInterfaces(t *testing.T) {
	needSandbox(t)
	granted := probe(t)
	useful := min(runtime.GOMAXPROCS(0), 4)
	left := 0
	if granted.USO {
		left = uso
	}
	for _, test := range []struct {
		name  string
		flags uint16
		cfg   tun.Config
		want  tun.Features
	}{
		{"one queue", 0, tun.Config{}, inQueues(1, granted)},
		{"one queue, asked for", 0, tun.Config{Queues: 1}, inQueues(1, granted)},
		{"one queue, no offload", 0, tun.Config{NoOffload: true}, inQueues(1, tun.Features{})},
		{"water", 0, tun.Config{Backend: tun.Water}, inQueues(1, tun.Features{})},
		{"many queues", unix.IFF_MULTI_QUEUE, tun.Config{}, inQueues(useful, granted)},
		{"many queues, one asked for", unix.IFF_MULTI_QUEUE, tun.Config{Queues: 1}, inQueues(1, granted)},
		{"many queues, three asked for", unix.IFF_MULTI_QUEUE, tun.Config{Queues: 3}, inQueues(3, granted)},
		{"many queues, no offload", unix.IFF_MULTI_QUEUE, tun.Config{NoOffload: true}, inQueues(useful, tun.Features{})},
	} {
		t.Run(test.name, func(t *testing.T) {
			persistent(t, "v6stays", test.flags, left)
			test.cfg.Name, test.cfg.HostAddresses = "v6stays", bothHosts
			for range 2 {
				device := open(t, test.cfg)
				if got := device.Features(); got != test.want {
					t.Errorf("got %v, want %v", got, test.want)
				}
				record := newRecorder()
				device.Endpoint().Attach(record)
				for _, to := range []netip.AddrPort{peer, peer4} {
					checkDatagrams(t, largeDatagrams(t, to, 12), nextUDP(t, record))
				}
				if err := device.Close(); err != nil {
					t.Error(err)
				}
				test.cfg.HostAddresses = nil // They stay as well.
			}
			fd := raw(t, "v6stays", test.flags)
			defer unix.Close(fd)
			for _, to := range []netip.AddrPort{peer, peer4} {
				checkDatagrams(t, largeDatagrams(t, to, 12), func() []byte { return rawUDP(t, fd) })
			}
		})
	}
}

// rawUDP returns the next packet with a datagram that comes on fd.
func rawUDP(t *testing.T, fd int) []byte {
	t.Helper()
	octets := make([]byte, 70000)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		if err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		if n == 0 {
			continue
		}
		if n, err = unix.Read(fd, octets); err != nil {
			t.Fatal(err)
		}
		if n > 40 && (octets[0]>>4 == 4 || octets[6] == wire.UDPProtocol) {
			return octets[:n]
		}
	}
	t.Fatal("no datagram came")
	return nil
}

// Nobody is let in beside another, however many queues there may be.
func TestNameTakenByQueues(t *testing.T) {
	needSandbox(t)
	for _, taken := range []int{1, 2} {
		device := open(t, tun.Config{Name: "v6taken", Queues: taken})
		before := descriptors(t)
		for queues := range 4 {
			for _, backend := range []tun.Backend{tun.Native, tun.Water} {
				if backend == tun.Water && queues > 1 {
					continue
				}
				second, err := tun.Open(tun.Config{Name: "v6taken", Queues: queues, Backend: backend})
				if err == nil {
					second.Close()
				}
				if !errors.Is(err, tun.ErrNameTaken) || !strings.Contains(err.Error(), "v6taken") {
					t.Errorf("%d queues of ours, %d of another's, %v: got %v, want ErrNameTaken", taken, queues, backend, err)
				}
			}
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
		device.Close()
	}
	persistent(t, "v6single", 0, 0)
	if device, err := tun.Open(tun.Config{Name: "v6single", Queues: 2}); !errors.Is(err, tun.ErrNameTaken) {
		t.Errorf("two queues of an interface of one: got %v, want ErrNameTaken", err)
		if err == nil {
			device.Close()
		}
	}
	fd := tuntap(t, "v6tap", netlink.TUNTAP_MODE_TAP, netlink.TUNTAP_NO_PI)
	defer unix.Close(fd)
	for queues := range 3 {
		if device, err := tun.Open(tun.Config{Name: "v6tap", Queues: queues}); !errors.Is(err, tun.ErrNameTaken) {
			t.Errorf("%d queues of a TAP: got %v, want ErrNameTaken", queues, err)
			if err == nil {
				device.Close()
			}
		}
	}
}

// A descriptor of somebody's keeps its headers; what they are called and how long
// they are is for us to say.
func TestAdoptedWithHeaders(t *testing.T) {
	needSandbox(t)
	granted := probe(t)
	for name, flags := range map[string]uint16{"one queue": 0, "one of many": unix.IFF_MULTI_QUEUE} {
		for _, none := range []bool{false, true} {
			t.Run(name+", NoOffload "+strconv.FormatBool(none), func(t *testing.T) {
				fd := raw(t, "v6adopt", flags|unix.IFF_VNET_HDR)
				if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, 12); err != nil {
					t.Fatal(err)
				}
				if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, sums); err != nil {
					t.Fatal(err)
				}
				setUp(t, "v6adopt")
				device, err := tun.Open(tun.Config{FD: fd, NoOffload: none})
				if err != nil {
					unix.Close(fd)
					t.Fatal(err)
				}
				defer device.Close()
				want := inQueues(1, granted)
				if none {
					want = inQueues(1, tun.Features{})
				}
				if got := device.Features(); got != want || device.Name() != "v6adopt" {
					t.Errorf("got %v of %s, want %v", got, device.Name(), want)
				}
				record := newRecorder()
				device.Endpoint().Attach(record)
				for _, to := range []netip.AddrPort{peer, peer4} {
					checkDatagrams(t, largeDatagrams(t, to, 12), nextUDP(t, record))
				}
				exchange(t, device, record, listen(t))
			})
		}
	}
}

// setUp gives the interface called name the host's addresses.
func setUp(t *testing.T, name string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range bothHosts {
		address, err := netlink.ParseAddr(prefix.String())
		if err != nil {
			t.Fatal(err)
		}
		if prefix.Addr().Is6() {
			address.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, address); err != nil {
			t.Fatal(err)
		}
		eventually(t, "packets to an address are the kernel's own", func() bool {
			routes, err := netlink.RouteGet(prefix.Addr().AsSlice())
			return err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL
		})
	}
}
