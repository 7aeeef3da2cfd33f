package tun_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/tun"
)

// pipe returns a device over one end of a pair of sockets that keep packets
// apart, and the other end.
func pipe(t testing.TB) (*tun.Device, int) {
	t.Helper()
	near, far := socketpair(t)
	device, err := tun.Open(tun.Config{FD: near, MTU: 65535})
	if err != nil {
		unix.Close(near)
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	return device, far
}

// socketpair returns sockets that keep packets apart. The far one, on which reads
// give up in the end, is closed by the test.
func socketpair(t testing.TB) (near, far int) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(ends[1]) })
	for _, end := range ends {
		if err := unix.SetsockoptInt(end, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(ends[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		t.Fatal(err)
	}
	return ends[0], ends[1]
}

// ip6 returns n octets whose version is 6.
func ip6(n int) []byte {
	octets := pattern(n)
	octets[0] = 0x60
	return octets
}

func write(t testing.TB, fd int, octets []byte) {
	t.Helper()
	if _, err := unix.Write(fd, octets); err != nil {
		t.Fatal(err)
	}
}

func TestViewsOfAPacket(t *testing.T) {
	device, far := pipe(t)
	record := newRecorder()
	device.Endpoint().Attach(record)
	for _, test := range []struct {
		size          int
		views, chunks []int
	}{
		{1, []int{1}, []int{128}},
		{127, []int{127}, []int{128}},
		{128, []int{128}, []int{128}},
		{129, []int{128, 1}, []int{128, 2048}},
		{1280, []int{128, 1152}, []int{128, 2048}},
		{1500, []int{128, 1372}, []int{128, 2048}},
		{2176, []int{128, 2048}, []int{128, 2048}},
		{2177, []int{128, 2049}, []int{128, 4096}},              // copied
		{4639, []int{128, 4511}, []int{128, 8192}},              // copied
		{4640, []int{128, 2048, 2464}, []int{128, 2048, 16384}}, // a quarter of the chunks
		{9000, []int{128, 2048, 6824}, []int{128, 2048, 16384}},
		{18560, []int{128, 2048, 16384}, []int{128, 2048, 16384}},
		{18561, []int{128, 18433}, []int{128, 32768}}, // copied
		{65535, []int{128, 2048, 16384, 46975}, []int{128, 2048, 16384, 65536}},
		{60, []int{60}, []int{128}},
	} {
		t.Run(strconv.Itoa(test.size), func(t *testing.T) {
			octets := ip6(test.size)
			write(t, far, octets)
			p := record.next(t, anyPacket)
			if !bytes.Equal(p.octets, octets) {
				t.Error("other octets came out")
			}
			if !slices.Equal(p.views, test.views) || !slices.Equal(p.chunks, test.chunks) {
				t.Errorf("got views %v of %v, want %v of %v", p.views, p.chunks, test.views, test.chunks)
			}
		})
	}
}

func TestProtocolByVersion(t *testing.T) {
	device, far := pipe(t)
	record := newRecorder()
	device.Endpoint().Attach(record)
	for version := range 16 {
		write(t, far, []byte{byte(version << 4), 1, 2, 3})
	}
	for _, want := range []tcpip.NetworkProtocolNumber{header.IPv4ProtocolNumber, header.IPv6ProtocolNumber} {
		if p := record.next(t, anyPacket); p.protocol != want {
			t.Errorf("got protocol %#x, want %#x", p.protocol, want)
		}
	}
	// The reader has counted all packets before it delivers one behind them.
	write(t, far, ip6(40))
	record.next(t, anyPacket)
	if got := device.Stats(); got != (tun.Stats{NotIP: 14}) {
		t.Errorf("got %+v, want 14 packets that are not IP", got)
	}
}

func TestWriteGathersViews(t *testing.T) {
	device, far := pipe(t)
	ones := slices.Repeat([]int{1}, 3000)
	for _, test := range []struct {
		name  string
		size  int
		views []int
	}{
		{"one view", 1500, nil},
		{"two views", 1500, []int{40}},
		{"a fragment's views", 1500, []int{40, 8, 700, 20}},
		{"nine views", 1500, []int{100, 100, 100, 100, 100, 100, 100, 100}},
		{"as many as a call takes", 4000, ones[:1023]},
		{"one more", 4000, ones[:1024]},
		{"many more", 65535, ones},
	} {
		t.Run(test.name, func(t *testing.T) {
			octets := ip6(test.size)
			if n, err := send(device.Endpoint(), split(octets, test.views...)); n != 1 || err != nil {
				t.Fatalf("got %d, %v, want 1 packet", n, err)
			}
			received(t, far, octets)
		})
	}
}

// received checks that the next packet at fd is want.
func received(t *testing.T, fd int, want []byte) {
	t.Helper()
	got := make([]byte, 70000)
	n, err := unix.Read(fd, got)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[:n], want) {
		t.Errorf("got %d octets that are not the %d written", n, len(want))
	}
}

func TestWriteLeavesReservedRoomOut(t *testing.T) {
	device, far := pipe(t)
	for _, pushed := range []int{0, 40, 128} { // Of 128 octets, a whole chunk.
		octets := ip6(500)
		pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{ReserveHeaderBytes: 128})
		rest := split(octets[pushed:])
		pkt.Data().AppendView(rest.Data().AsRange().ToView())
		rest.DecRef()
		copy(pkt.NetworkHeader().Push(pushed), octets)
		if n, err := send(device.Endpoint(), pkt); n != 1 || err != nil {
			t.Fatalf("%d octets pushed: got %d, %v, want 1 packet", pushed, n, err)
		}
		received(t, far, octets)
	}
}

func TestWriteRefusesAndGoesOn(t *testing.T) {
	device, far := pipe(t)
	if err := unix.Shutdown(far, unix.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	_, err := send(device.Endpoint(), split(ip6(100)))
	if _, ok := err.(*tcpip.ErrClosedForSend); !ok {
		t.Errorf("got %v of a descriptor that takes nothing, want ErrClosedForSend", err)
	}

	device, far = pipe(t)
	var list gstack.PacketBufferList
	empty := gstack.NewPacketBuffer(gstack.PacketBufferOptions{})
	good := split(ip6(100))
	defer empty.DecRef()
	defer good.DecRef()
	list.PushBack(empty)
	list.PushBack(good)
	n, err := device.Endpoint().WritePackets(list)
	if _, ok := err.(*tcpip.ErrNoBufferSpace); !ok || n != 1 {
		t.Errorf("got %d, %v of an empty packet and a good one, want 1, ErrNoBufferSpace", n, err)
	}
	received(t, far, ip6(100))
	if got := device.Stats().Refused; got != 1 {
		t.Errorf("refused %d, want 1", got)
	}
}

func TestWriteWithoutRoomGivesUp(t *testing.T) {
	device, _ := pipe(t)
	pkt := split(ip6(60000))
	for {
		if _, err := send(device.Endpoint(), pkt.Clone()); err != nil {
			if _, ok := err.(*tcpip.ErrNoBufferSpace); !ok {
				t.Errorf("got %v, want ErrNoBufferSpace", err)
			}
			break
		}
	}
	pkt.DecRef()
}

func TestReadErrorsDoNotSpin(t *testing.T) {
	device, far := pipe(t)
	device.Endpoint().Attach(newRecorder())
	start := time.Now()
	if err := unix.Shutdown(far, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	for device.Stats().ReadErrors < 3 {
		if time.Since(start) > patience {
			t.Fatal("the end of the descriptor was not noticed")
		}
		time.Sleep(time.Millisecond)
	}
	// Two pauses lie between three errors; a reader that spins is here at once.
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("three errors within %v", took)
	}
}

func TestAdoptedDescriptor(t *testing.T) {
	device, _ := pipe(t)
	if device.Name() != "" || device.MTU() != 65535 || device.Endpoint().MTU() != 65535 {
		t.Errorf("got name %q, MTU %d, endpoint's MTU %d", device.Name(), device.MTU(), device.Endpoint().MTU())
	}
	device.Endpoint().SetMTU(1400)
	if device.MTU() != 65535 || device.Endpoint().MTU() != 1400 {
		t.Errorf("after SetMTU: MTU %d, endpoint's MTU %d", device.MTU(), device.Endpoint().MTU())
	}
}

func TestRefusedDescriptorStaysOpen(t *testing.T) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	if _, err := tun.Open(tun.Config{FD: ends[0], MTU: 1}); !errors.Is(err, tun.ErrConfig) {
		t.Errorf("got %v, want ErrConfig", err)
	}
	if _, err := unix.FcntlInt(uintptr(ends[0]), unix.F_GETFD, 0); err != nil {
		t.Errorf("the descriptor of a refused configuration: %v", err)
	}
}

// What carries more than bare packets would be misread.
func TestKindsOfDescriptor(t *testing.T) {
	needSandbox(t)
	for _, test := range []struct {
		name    string
		mode    netlink.TuntapMode
		flags   netlink.TuntapFlag
		refused bool
	}{
		{"TUN", netlink.TUNTAP_MODE_TUN, 0, false},
		{"TUN with offload headers", netlink.TUNTAP_MODE_TUN, netlink.TUNTAP_VNET_HDR, false},
		{"TAP", netlink.TUNTAP_MODE_TAP, 0, true},
	} {
		fd := tuntap(t, "v6kind", test.mode, netlink.TUNTAP_NO_PI|test.flags)
		device, err := tun.Open(tun.Config{FD: fd})
		switch {
		case !test.refused && err != nil:
			t.Errorf("%s: got %v", test.name, err)
		case !test.refused:
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if got, want := device.Features().Checksum, test.flags != 0; got != want {
				t.Errorf("%s: Features().Checksum is %v", test.name, got)
			}
			if device.Name() != "v6kind" || err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("%s: got name %q, descriptor flags %#x, %v", test.name, device.Name(), flags, err)
			}
			device.Close()
			continue
		case !errors.Is(err, tun.ErrConfig) || !strings.Contains(err.Error(), "v6kind carries more than bare IP packets"):
			t.Errorf("%s: got %v, want ErrConfig", test.name, err)
		}
		unix.Close(fd)
	}
}

// tuntap makes an interface and returns its descriptor.
func tuntap(t *testing.T, name string, mode netlink.TuntapMode, flags netlink.TuntapFlag) int {
	t.Helper()
	link := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: name}, Mode: mode, Flags: flags, NonPersist: true, Queues: 1}
	if err := netlink.LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	defer link.Fds[0].Close()
	fd, err := unix.Dup(int(link.Fds[0].Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// descriptors counts the open descriptors of the process.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EBADF) {
		t.Fatal(err)
	}
	return len(entries)
}
