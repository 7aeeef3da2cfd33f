package tun_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/tun"
)

// A tap is an endpoint that counts what passes it as a large segment.
type tap struct {
	gstack.LinkEndpoint
	in, out atomic.Int64
}

var _ gstack.GSOEndpoint = (*tap)(nil)

func (p *tap) SupportedGSO() gstack.SupportedGSO {
	return p.LinkEndpoint.(gstack.GSOEndpoint).SupportedGSO()
}

func (p *tap) GSOMaxSize() uint32 { return p.LinkEndpoint.(gstack.GSOEndpoint).GSOMaxSize() }

func (p *tap) Attach(d gstack.NetworkDispatcher) {
	if d != nil {
		d = tapped{d, p}
	}
	p.LinkEndpoint.Attach(d)
}

func (p *tap) WritePackets(pkts gstack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		if isLarge(pkt) {
			p.out.Add(1)
		}
	}
	return p.LinkEndpoint.WritePackets(pkts)
}

type tapped struct {
	gstack.NetworkDispatcher
	tap *tap
}

func (d tapped) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	if isLarge(pkt) {
		d.tap.in.Add(1)
	}
	d.NetworkDispatcher.DeliverNetworkPacket(protocol, pkt)
}

// isLarge reports whether pkt is left to be cut.
func isLarge(pkt *gstack.PacketBuffer) bool {
	return pkt.GSOOptions.Type != gstack.GSONone && pkt.Size() > int(pkt.GSOOptions.MSS)+100
}

// transportStack returns a gVisor stack at the peers' addresses, whose only NIC is
// over endpoint. It ends with the test, before the device.
func transportStack(t *testing.T, endpoint gstack.LinkEndpoint) *gstack.Stack {
	t.Helper()
	s := gstack.New(gstack.Options{
		NetworkProtocols: []gstack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []gstack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
	})
	t.Cleanup(s.Destroy)
	if err := s.CreateNIC(nic, endpoint); err != nil {
		t.Fatal(err)
	}
	sack := tcpip.TCPSACKEnabled(true)
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack); err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		address := tcpip.ProtocolAddress{Protocol: family.protocol, AddressWithPrefix: family.stack.Addr.WithPrefix()}
		if err := s.AddProtocolAddress(nic, address, gstack.AddressProperties{}); err != nil {
			t.Fatal(err)
		}
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv6EmptySubnet, NIC: nic}, {Destination: header.IPv4EmptySubnet, NIC: nic}})
	return s
}

// A family is a version of IP, with the addresses of both sides.
type family struct {
	name     string
	protocol tcpip.NetworkProtocolNumber
	stack    tcpip.FullAddress
	host     net.IP
}

const port = 5001

var families = []family{
	{"IPv6", ipv6.ProtocolNumber, tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(peer.Addr().AsSlice()), Port: port}, hostPrefix.Addr().AsSlice()},
	{"IPv4", ipv4.ProtocolNumber, tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(peer4.Addr().AsSlice()), Port: port}, hostPrefix4.Addr().AsSlice()},
}

// stream is what TCP of both sides have in common.
type stream interface {
	net.Conn
	CloseWrite() error
}

// dialKernel returns both ends of a connection from the kernel to s.
func dialKernel(t *testing.T, s *gstack.Stack, f family) (kernel, gvisor stream) {
	t.Helper()
	listener, err := gonet.ListenTCP(s, f.stack, f.protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := net.TCPAddr{IP: f.stack.Addr.AsSlice(), Port: port}
	conn, err := net.DialTimeout("tcp", address.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn), accepted.(*gonet.TCPConn)
}

// dialStack returns both ends of a connection from s to the kernel.
func dialStack(t *testing.T, s *gstack.Stack, f family) (kernel, gvisor stream) {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: f.host})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	to := tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(f.host), Port: uint16(listener.Addr().(*net.TCPAddr).Port)}
	conn, err := gonet.DialContextTCP(ctx, s, to, f.protocol)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	return accepted, conn
}

// checkStreams sends octets each way at once, in writes of the given size, ends
// both, and checks what arrives.
func checkStreams(t *testing.T, a, b stream, there, back []byte, size int) {
	t.Helper()
	defer a.Close()
	defer b.Close()
	results := make(chan error, 4)
	for _, way := range []struct {
		from, to stream
		octets   []byte
	}{{a, b, there}, {b, a, back}} {
		deadline := time.Now().Add(patience)
		if err := errors.Join(way.from.SetDeadline(deadline), way.to.SetDeadline(deadline)); err != nil {
			t.Fatal(err)
		}
		go func() {
			for at := 0; at < len(way.octets); at += size {
				if _, err := way.from.Write(way.octets[at:min(at+size, len(way.octets))]); err != nil {
					results <- fmt.Errorf("write at %d: %w", at, err)
					return
				}
			}
			results <- way.from.CloseWrite()
		}()
		go func() {
			got, err := io.ReadAll(way.to)
			if err == nil && !bytes.Equal(got, way.octets) {
				err = fmt.Errorf("%d octets came, not the %d that were sent", len(got), len(way.octets))
			}
			results <- err
		}()
	}
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestTCPOfTheKernel(t *testing.T) {
	needSandbox(t)
	before := mistakes(t)
	for _, test := range []struct {
		mtu int
		cfg tun.Config
	}{
		{1280, tun.Config{}},
		{1500, tun.Config{}},
		{9000, tun.Config{}},
		{65535, tun.Config{}},
		{1500, tun.Config{Queues: 1}},
		{1500, tun.Config{Queues: 4}},
		{1500, tun.Config{NoOffload: true}},
		{1500, tun.Config{Backend: tun.Water}},
	} {
		test.cfg.MTU, test.cfg.HostAddresses = test.mtu, bothHosts
		for _, f := range families {
			t.Run(fmt.Sprintf("MTU %d, %s, %d queues, NoOffload %v, %v", test.mtu, f.name, test.cfg.Queues, test.cfg.NoOffload, test.cfg.Backend), func(t *testing.T) {
				device := open(t, test.cfg)
				endpoint := &tap{LinkEndpoint: device.Endpoint()}
				s := transportStack(t, endpoint)
				there, back := wire.Payload(2<<20), pattern(3<<20)
				kernel, gvisor := dialKernel(t, s, f)
				checkStreams(t, kernel, gvisor, there, back, 200000)
				kernel, gvisor = dialStack(t, s, f)
				checkStreams(t, kernel, gvisor, there[:300000], back[:400000], 97)
				in, out := endpoint.in.Load(), endpoint.out.Load()
				if whole := device.Features().TSO6 && test.mtu < 20000; whole != (in > 0) || whole != (out > 0) {
					t.Errorf("%v: %d large segments came in, %d went out", device.Features(), in, out)
				}
				if got := device.Stats(); got.Malformed+got.BadChecksum+got.TooLong+got.ReadErrors+got.Refused > 0 {
					t.Errorf("got %+v", got)
				}
				if errs := s.Stats().TCP.ChecksumErrors.Value(); errs > 0 {
					t.Errorf("%d wrong checksums", errs)
				}
			})
		}
	}
	if after := mistakes(t); after != before {
		t.Errorf("the kernel counts %v wrong packets, %v before", after, before)
	}
}

// mistakes returns what the kernel has counted of packets with wrong headers or
// checksums, in the namespace of the thread.
func mistakes(t *testing.T) string {
	t.Helper()
	var found []string
	for name, value := range kernelCounters(t) {
		switch name {
		case "TcpInCsumErrors", "UdpInCsumErrors", "IcmpInCsumErrors", "Udp6InCsumErrors", "Icmp6InCsumErrors",
			"TcpInErrs", "IpInHdrErrors", "Ip6InHdrErrors", "Ip6InTruncatedPkts", "Ip6ReasmFails", "IpReasmFails":
			if value > 0 {
				found = append(found, name+"="+strconv.Itoa(value))
			}
		}
	}
	slices.Sort(found)
	return strings.Join(found, " ")
}

// kernelCounters returns what the kernel counts, as nstat names it, in the
// namespace of the thread.
func kernelCounters(t *testing.T) map[string]int {
	t.Helper()
	counters := map[string]int{}
	add := func(name, value string) {
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		counters[name] = n
	}
	for _, file := range []string{"snmp6", "snmp", "netstat"} {
		octets, err := os.ReadFile("/proc/thread-self/net/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(string(octets)) {
			fields := strings.Fields(line)
			switch {
			case file == "snmp6":
				add(fields[0], fields[1])
			case names == nil:
				names = fields
			default:
				for i, value := range fields[1:] {
					add(strings.TrimSuffix(fields[0], ":")+names[i+1], value)
				}
				names = nil
			}
		}
	}
	return counters
}

// Datagrams have right checksums both ways, in fragments too.
func TestUDPOfTheKernel(t *testing.T) {
	needSandbox(t)
	before := mistakes(t)
	for _, cfg := range []tun.Config{{}, {NoOffload: true}, {Backend: tun.Water}} {
		for _, mtu := range []int{1280, 1500, 9000, 65535} {
			cfg.MTU, cfg.HostAddresses = mtu, bothHosts
			for _, f := range families {
				t.Run(fmt.Sprintf("MTU %d, %s, NoOffload %v, %v", mtu, f.name, cfg.NoOffload, cfg.Backend), func(t *testing.T) {
					device := open(t, cfg)
					s := transportStack(t, device.Endpoint())
					conn, err := gonet.DialUDP(s, &f.stack, nil, f.protocol)
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					kernel, dialErr := net.DialUDP("udp", &net.UDPAddr{IP: f.host}, &net.UDPAddr{IP: f.stack.Addr.AsSlice(), Port: port})
					if dialErr != nil {
						t.Fatal(dialErr)
					}
					defer kernel.Close()
					deadline := time.Now().Add(patience)
					if err := errors.Join(conn.SetDeadline(deadline), kernel.SetDeadline(deadline)); err != nil {
						t.Fatal(err)
					}
					for _, size := range []int{0, 1, 2, 1000, 1440, 5001, 20000} {
						checkEcho(t, kernel, conn, wire.Payload(size), pattern(size))
					}
					checkLargeDatagrams(t, kernel, conn)
					if errs := s.Stats().UDP.ChecksumErrors.Value(); errs > 0 {
						t.Errorf("%d wrong checksums", errs)
					}
					if got := device.Stats(); got.Malformed+got.BadChecksum+got.TooLong+got.ReadErrors+got.Refused > 0 {
						t.Errorf("got %+v", got)
					}
				})
			}
		}
	}
	if after := mistakes(t); after != before {
		t.Errorf("the kernel counts %v wrong packets, %v before", after, before)
	}
}

// checkEcho sends a datagram to the stack, and another back.
func checkEcho(t *testing.T, kernel *net.UDPConn, conn *gonet.UDPConn, there, back []byte) {
	t.Helper()
	if _, err := kernel.Write(there); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 65536)
	n, from, err := conn.ReadFrom(got)
	if err != nil || !bytes.Equal(got[:n], there) {
		t.Fatalf("%d octets came to the stack, %v, want %d", n, err, len(there))
	}
	if _, err := conn.WriteTo(back, from); err != nil {
		t.Fatal(err)
	}
	if n, err = kernel.Read(got); err != nil || !bytes.Equal(got[:n], back) {
		t.Fatalf("%d octets came to the kernel, %v, want %d", n, err, len(back))
	}
}

// checkLargeDatagrams has the kernel send many datagrams at once, which come one
// by one.
func checkLargeDatagrams(t *testing.T, kernel *net.UDPConn, conn net.PacketConn) {
	t.Helper()
	control, err := kernel.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := control.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 999)
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	payload := wire.Payload(20*999 - 300)
	if _, err := kernel.Write(payload); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 65536)
	for len(payload) > 0 {
		want := payload[:min(999, len(payload))]
		n, _, err := conn.ReadFrom(got)
		if err != nil || !bytes.Equal(got[:n], want) {
			t.Fatalf("%d octets came, %v, want %d", n, err, len(want))
		}
		payload = payload[len(want):]
	}
}
