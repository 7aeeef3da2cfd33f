package tun_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/netns"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/tun"
)

// Two namespaces are the ends of a bridge.
const (
	near = "v6near"
	far  = "v6far"
)

// A bridge takes the packets of one device to another, as they are but for
// congestion, which it notes in some.
type bridge struct {
	to gstack.LinkEndpoint
	// packets with a TCP payload, those that are to be cut, those in which
	// congestion was noted, those with ECE, those with CWR, and those of these
	// that are to be cut.
	data, large, congested, ece, cwr, largeCWR atomic.Int64
}

func (b *bridge) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	views, _ := pkt.AsViewList()
	b.look(pkt, views.Front().AsSlice()) // Headers are in the first view.
	var list gstack.PacketBufferList
	list.PushBack(pkt)
	b.to.WritePackets(list)
}

func (*bridge) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// look counts a packet whose headers are given, and may note congestion in it.
func (b *bridge) look(pkt *gstack.PacketBuffer, octets []byte) {
	start := 40
	switch {
	case octets[0]>>4 == 4 && octets[9] == wire.TCP:
		start = 20
	case octets[0]>>4 != 6 || octets[6] != wire.TCP:
		return
	}
	segment := header.TCP(octets[start:])
	add := func(counter *atomic.Int64, is bool) {
		if is {
			counter.Add(1)
		}
	}
	add(&b.large, isLarge(pkt))
	add(&b.ece, segment.Flags()&wire.ECE != 0 && segment.Flags()&wire.SYN == 0)
	add(&b.cwr, segment.Flags()&wire.CWR != 0 && segment.Flags()&wire.SYN == 0)
	add(&b.largeCWR, segment.Flags()&wire.CWR != 0 && isLarge(pkt))
	if pkt.Size() > 1000 && b.data.Add(1)%20 == 10 {
		add(&b.congested, note(octets))
	}
}

// note notes congestion in an IP header whose sender knows what that is, and
// reports whether it does.
func note(octets []byte) bool {
	if octets[0]>>4 == 4 {
		ip := header.IPv4(octets)
		class, _ := ip.TOS()
		if class&3 == 0 {
			return false
		}
		ip.SetTOS(class|3, 0)
		ip.SetChecksum(0)
		ip.SetChecksum(^ip.CalculateChecksum())
		return true
	}
	class, label := header.IPv6(octets).TOS()
	if class&3 == 0 {
		return false
	}
	header.IPv6(octets).SetTOS(class|3, label)
	return true
}

// bridged returns bridges, there and back, between devices in both namespaces.
func bridged(t *testing.T, cfg tun.Config) (there, back *bridge) {
	t.Helper()
	namespace(t, near)
	namespace(t, far)
	cfg.NetNS, cfg.HostAddresses = near, bothHosts
	a := open(t, cfg)
	cfg.NetNS, cfg.HostAddresses = far, []netip.Prefix{netip.PrefixFrom(peer.Addr(), 64), netip.PrefixFrom(peer4.Addr(), 24)}
	b := open(t, cfg)
	there, back = &bridge{to: b.Endpoint()}, &bridge{to: a.Endpoint()}
	a.Endpoint().Attach(there)
	b.Endpoint().Attach(back)
	for _, name := range []string{near, far} {
		in(t, name, func() {
			if err := os.WriteFile("/proc/sys/net/ipv4/tcp_ecn", []byte("1"), 0); err != nil {
				t.Error(err)
			}
		})
	}
	return there, back
}

// in does something in a namespace.
func in(t *testing.T, namespace string, do func()) {
	t.Helper()
	if err := netns.Do(namespace, func() error {
		do()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// connect returns both ends of a connection from near to far.
func connect(t *testing.T, f family) (a, b stream) {
	t.Helper()
	var listener *net.TCPListener
	in(t, far, func() {
		var err error
		if listener, err = net.ListenTCP("tcp", &net.TCPAddr{IP: f.stack.Addr.AsSlice()}); err != nil {
			t.Error(err)
		}
	})
	if listener == nil {
		t.FailNow()
	}
	defer listener.Close()
	in(t, near, func() {
		conn, err := net.DialTimeout("tcp", listener.Addr().String(), patience)
		if err != nil {
			t.Error(err)
			return
		}
		a = conn.(*net.TCPConn)
	})
	if a == nil {
		t.FailNow()
	}
	b, err := listener.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// Congestion that the network notes in a large segment reaches the sender, and its
// answer the receiver.
func TestCongestionSignals(t *testing.T) {
	needSandbox(t)
	for _, f := range families {
		for name, cfg := range map[string]tun.Config{"whole": {}, "in segments": {NoOffload: true}} {
			t.Run(f.name+", "+name, func(t *testing.T) {
				there, back := bridged(t, cfg)
				a, b := connect(t, f)
				for range 4 { // Each makes the sender slower.
					octets := wire.Payload(2 << 20)
					sent := make(chan error, 1)
					go func() {
						_, err := a.Write(octets)
						sent <- err
					}()
					got := make([]byte, len(octets))
					if err := b.SetDeadline(time.Now().Add(patience)); err != nil {
						t.Fatal(err)
					}
					_, err := io.ReadFull(b, got)
					if err = errors.Join(err, <-sent); err != nil || !bytes.Equal(got, octets) {
						t.Fatalf("other octets came, or %v", err)
					}
				}
				var info *unix.TCPInfo
				control, err := a.(*net.TCPConn).SyscallConn()
				if err != nil {
					t.Fatal(err)
				}
				if err := control.Control(func(fd uintptr) {
					info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
				}); err != nil || info == nil {
					t.Fatal(err)
				}
				a.Close()
				b.Close()
				if there.congested.Load() == 0 || back.ece.Load() == 0 || there.cwr.Load() == 0 {
					t.Errorf("congestion was noted in %d, told by %d, answered by %d", there.congested.Load(), back.ece.Load(), there.cwr.Load())
				}
				if info.Delivered_ce == 0 {
					t.Error("the sender has not heard of any congestion")
				}
				if whole := !cfg.NoOffload; whole != (there.large.Load() > 0) || whole != (there.largeCWR.Load() > 0) {
					t.Errorf("%d large segments, %d with CWR", there.large.Load(), there.largeCWR.Load())
				}
				in(t, far, func() {
					counters := kernelCounters(t)
					if counters["Ip6InCEPkts"]+counters["IpExtInCEPkts"] == 0 {
						t.Error("the receiver has seen no congestion")
					}
					if wrong := mistakes(t); wrong != "" {
						t.Errorf("the receiver counts %s", wrong)
					}
				})
				in(t, near, func() {
					if wrong := mistakes(t); wrong != "" {
						t.Errorf("the sender counts %s", wrong)
					}
				})
			})
		}
	}
}

// Datagrams that the kernel sends as one come as they are, whatever is between.
func TestLargeDatagramsPass(t *testing.T) {
	needSandbox(t)
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			bridged(t, tun.Config{})
			var receiver net.PacketConn
			in(t, far, func() {
				var err error
				if receiver, err = net.ListenPacket("udp", net.JoinHostPort(net.IP(f.stack.Addr.AsSlice()).String(), "0")); err != nil {
					t.Error(err)
				}
			})
			if receiver == nil {
				t.FailNow()
			}
			defer receiver.Close()
			if err := receiver.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			var sender *net.UDPConn
			in(t, near, func() {
				var err error
				if sender, err = net.DialUDP("udp", nil, receiver.LocalAddr().(*net.UDPAddr)); err != nil {
					t.Error(err)
				}
			})
			if sender == nil {
				t.FailNow()
			}
			defer sender.Close()
			for range 3 {
				checkLargeDatagrams(t, sender, receiver)
			}
			in(t, far, func() {
				if wrong := mistakes(t); wrong != "" {
					t.Errorf("the receiver counts %s", wrong)
				}
			})
		})
	}
}
