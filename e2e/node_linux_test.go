package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// The two ends of every TUN here.
var (
	hostPrefix  = netip.MustParsePrefix("fd00:6::1/64")
	stackPrefix = netip.MustParsePrefix("fd00:6::2/64")
	hostAddr    = hostPrefix.Addr()
	stackAddr   = stackPrefix.Addr()

	hostPrefix4  = netip.MustParsePrefix("192.0.2.1/24")
	stackPrefix4 = netip.MustParsePrefix("192.0.2.2/24")
)

// echoPort is that of the echo services of a node.
const echoPort = 7

// A nodeConfig says what is particular about a node. The zero value is a node
// with nothing particular about it.
type nodeConfig struct {
	kind         kind
	mtu          int
	zone         defrag.ZoneConfig
	noICMPErrors bool
}

// A node is a stack of ours on a TUN of its own, with echo services.
type node struct {
	device string
	stack  *stack.Stack
	drops  *drops
	// datagrams counts what was reassembled, fragments what came through
	// nonetheless.
	datagrams, fragments atomic.Int64
}

var devices atomic.Uint32

// deviceName returns a name that no other device here has.
func deviceName() string { return fmt.Sprintf("v6e%d", devices.Add(1)) }

// openDevice opens a device with the host's addresses on the kernel's side.
func openDevice(t *testing.T, k kind, cfg tun.Config) *tun.Device {
	t.Helper()
	cfg.Name = deviceName()
	cfg.HostAddresses = []netip.Prefix{hostPrefix, hostPrefix4}
	device, err := k.open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return device
}

// startNode starts a node that ends with the test.
func startNode(t *testing.T, cfg nodeConfig) *node {
	t.Helper()
	device := openDevice(t, cfg.kind, tun.Config{MTU: cfg.mtu})
	n := &node{device: device.Name(), drops: newDrops()}
	n.stack = startStack(t, stack.Config{
		Engine: defrag.Config{Zone: cfg.zone},
		Links: []stack.LinkConfig{{
			Name:         "tun",
			Endpoint:     device.Endpoint(),
			Addresses:    []netip.Prefix{stackPrefix, stackPrefix4},
			NoICMPErrors: cfg.noICMPErrors,
			Filter:       n.filter,
			OnDatagram:   func(*gstack.PacketBuffer, *defrag.Datagram) { n.datagrams.Add(1) },
			OnDrop:       n.drops.add,
			Close:        device.Close,
		}},
	})
	serveEcho(t, n.stack)
	t.Cleanup(func() { checkGone(t, n.device) })
	t.Cleanup(func() { closeStack(t, n.stack) })
	t.Cleanup(func() {
		if fragments := n.fragments.Load(); fragments > 0 {
			t.Errorf("%d fragments came through to the filter", fragments)
		}
	})
	return n
}

// filter takes every packet, and looks for fragments.
func (n *node) filter(packet *gstack.PacketBuffer) bool {
	view := packet.Data()
	header, ok := view.PullUp(40)
	if ok && header[0]>>4 == 6 && header[6] == wire.FragmentHeader {
		n.fragments.Add(1)
	}
	return true
}

// checkClean checks that at least so many datagrams were reassembled, and that
// no packet was dropped.
func (n *node) checkClean(t *testing.T, datagrams int) {
	t.Helper()
	if got := n.datagrams.Load(); got < int64(datagrams) {
		t.Errorf("%d datagrams reassembled: want at least %d", got, datagrams)
	}
	if all := n.drops.all(); len(all) > 0 {
		t.Errorf("packets were dropped: %v", all)
	}
}

// startStack makes a stack, whose devices it closes if it cannot be made.
func startStack(t *testing.T, cfg stack.Config) *stack.Stack {
	t.Helper()
	s, err := stack.New(cfg)
	if err != nil {
		for _, link := range cfg.Links {
			link.Close()
		}
		t.Fatal(err)
	}
	return s
}

// closeStack closes s and gives up if that does not end.
func closeStack(t *testing.T, s *stack.Stack) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		if err := s.Close(); err != nil {
			t.Errorf("close the stack: %v", err)
		}
	}()
	await(t, "close the stack", closed)
}

// checkGone checks that the device is no more.
func checkGone(t *testing.T, device string) {
	t.Helper()
	if _, err := net.InterfaceByName(device); err == nil {
		t.Errorf("%s is still there", device)
	}
}
