package offload_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/offload"
)

// A router is the kernel between two TUN devices, one that takes large packets
// and one that takes none.
type router struct {
	in, out *os.File
}

// needSandbox skips a test that needs real TUN devices where there are none.
func needSandbox(t *testing.T) {
	t.Helper()
	if unavailable == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(unavailable)
	}
	t.Skip(unavailable)
}

func newRouter(t *testing.T) router {
	t.Helper()
	r := router{openTUN(t, "large", unix.IFF_VNET_HDR), openTUN(t, "plain", 0)}
	for _, name := range []string{"ipv6/conf/all/forwarding", "ipv4/ip_forward"} {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"large", "plain"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			t.Fatal(err)
		}
		addAddress(t, link, netip.PrefixFrom(ends6[i].Prev(), 64))
		addAddress(t, link, netip.PrefixFrom(ends4[i].Next(), 24))
	}
	return r
}

func openTUN(t *testing.T, name string, flags uint16) *os.File {
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
	device := os.NewFile(uintptr(fd), name) // Only now can it be waited for.
	t.Cleanup(func() { device.Close() })
	return device
}

func addAddress(t *testing.T, link netlink.Link, prefix netip.Prefix) {
	t.Helper()
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
}

// send gives the router the draft's packet to be cut by mss.
func (r router) send(t *testing.T, d draft, mss int) {
	t.Helper()
	j := d.job(mss)
	kind := byte(unix.VIRTIO_NET_HDR_GSO_TCPV6)
	switch {
	case d.udp:
		kind = unix.VIRTIO_NET_HDR_GSO_UDP_L4
	case d.v4:
		kind = unix.VIRTIO_NET_HDR_GSO_TCPV4
	}
	if !d.udp && d.flags&cwr != 0 {
		kind |= unix.VIRTIO_NET_HDR_GSO_ECN
	}
	header := []byte{unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, kind}
	for _, field := range []int{d.headers(), j.MSS, j.Start, j.Offset} {
		header = binary.NativeEndian.AppendUint16(header, uint16(field))
	}
	if _, err := r.in.Write(append(header, d.packet()...)); err != nil {
		t.Fatal(err)
	}
}

// receive returns the next packet of the drafts' source.
func (r router) receive(t *testing.T) []byte {
	t.Helper()
	if err := r.out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 65535)
	for {
		n, err := r.out.Read(packet)
		if err != nil {
			t.Fatal(err)
		}
		if source, ok := sourceOf(packet[:n]); ok && (source == ends6[0] || source == ends4[0]) {
			return packet[:n]
		}
	}
}

// sourceOf returns the source of an IPv4 or IPv6 packet.
func sourceOf(packet []byte) (source netip.Addr, ok bool) {
	if packet[0]>>4 == 4 {
		return netip.AddrFromSlice(packet[12:16])
	}
	return netip.AddrFromSlice(packet[8:24])
}

// Linux cuts packets into the same segments, octet for octet.
func TestSplitIsLinux(t *testing.T) {
	needSandbox(t)
	r := newRouter(t)
	for name, d := range drafts {
		if d.unsummed {
			continue // Linux cuts nothing whose checksum it does not compute.
		}
		d.pending = true
		for _, mss := range []int{512, 999, 1000, 1300} {
			t.Run(fmt.Sprintf("%s by %d", name, mss), func(t *testing.T) {
				r.send(t, d, mss)
				routed := d
				routed.hops--
				for i, ours := range split(t, routed.job(mss), inViews(routed.packet())) {
					if linux := r.receive(t); !bytes.Equal(ours, linux) {
						t.Fatalf("segment %d is\n%x, Linux has\n%x", i, ours, linux)
					}
				}
			})
		}
	}
}

// Linux counts on the checksum that Finish writes.
func TestFinishIsLinux(t *testing.T) {
	needSandbox(t)
	r := newRouter(t)
	for name, d := range drafts {
		d.pending, d.unsummed, d.payload = true, false, d.payload[:1000]
		routed := d
		routed.hops--
		header := []byte{unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, unix.VIRTIO_NET_HDR_GSO_NONE}
		for _, field := range []int{0, 0, d.job(0).Start, d.job(0).Offset} {
			header = binary.NativeEndian.AppendUint16(header, uint16(field))
		}
		if _, err := r.in.Write(append(header, d.packet()...)); err != nil {
			t.Fatal(err)
		}
		b := inViews(routed.packet())
		if err := (offload.Job{Checksum: true, Start: d.start(), Offset: d.job(0).Offset}).Finish(&b); err != nil {
			t.Fatal(err)
		}
		if ours, linux := flat(b), r.receive(t); !bytes.Equal(ours, linux) {
			t.Errorf("%s: packet is\n%x, Linux has\n%x", name, ours, linux)
		}
	}
}
