package routerbench

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// A router is one to be measured.
type router struct {
	name string
	// start starts it between both ends, until b ends.
	start func(b *testing.B, ends [2]end)
}

var routers = []router{
	{"gvisor", startNetstack},
	{"plain", func(b *testing.B, ends [2]end) { startStack(b, ends, tun.Config{NoOffload: true}) }},
	{"v6stack", func(b *testing.B, ends [2]end) { startStack(b, ends, tun.Config{}) }},
}

// defaultRoute leads everything to the router.
var defaultRoute = netip.MustParsePrefix("::/0")

// startStack starts a router of ours on devices like cfg.
func startStack(b *testing.B, ends [2]end, cfg tun.Config) {
	b.Helper()
	config := stack.Config{Forward: true}
	for _, e := range ends {
		cfg.Name, cfg.MTU, cfg.NetNS = e.name, mtu, e.namespace
		cfg.HostAddresses, cfg.HostRoutes = []netip.Prefix{e.host}, []netip.Prefix{defaultRoute}
		device, err := tun.Open(cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { device.Close() })
		config.Links = append(config.Links, stack.LinkConfig{
			Name:      e.name,
			Endpoint:  device.Endpoint(),
			Addresses: []netip.Prefix{e.router},
		})
	}
	s, err := stack.New(config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
}

// startNetstack starts gVisor's own router.
func startNetstack(b *testing.B, ends [2]end) {
	b.Helper()
	endpoints := [2]gstack.LinkEndpoint{openFDBased(b, ends[0]), openFDBased(b, ends[1])}
	s := gstack.New(gstack.Options{NetworkProtocols: []gstack.NetworkProtocolFactory{ipv6.NewProtocol}})
	b.Cleanup(func() {
		// Destroy detaches with the stack's lock held, for which deliveries may
		// be waiting that it waits for.
		for _, endpoint := range endpoints {
			endpoint.Attach(nil)
		}
		s.Destroy()
	})
	for i, e := range ends {
		id, endpoint := tcpip.NICID(i+1), endpoints[i]
		if err := s.CreateNIC(id, endpoint); err != nil {
			b.Fatalf("create the interface: %v", err)
		}
		address := tcpip.AddrFrom16(e.router.Addr().As16()).WithPrefix()
		address.PrefixLen = e.router.Bits()
		if err := s.AddProtocolAddress(id, tcpip.ProtocolAddress{Protocol: ipv6.ProtocolNumber, AddressWithPrefix: address}, gstack.AddressProperties{}); err != nil {
			b.Fatalf("add %v: %v", e.router, err)
		}
		s.AddRoute(tcpip.Route{Destination: address.Subnet(), NIC: id})
	}
	if err := s.SetForwardingDefaultAndAllNICs(ipv6.ProtocolNumber, true); err != nil {
		b.Fatalf("forward: %v", err)
	}
}
