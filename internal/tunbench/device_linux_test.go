package tunbench

import (
	"net/netip"
	"testing"

	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/tun"
)

// mtu is that of every device, in octets.
const mtu = 1500

// interfaceName is that of every device: there is one at a time.
const interfaceName = "tunbench"

// The two ends of every device.
var (
	hostPrefix  = netip.MustParsePrefix("fd00:6::1/64")
	stackPrefix = netip.MustParsePrefix("fd00:6::2/64")
)

// A device is one way between the kernel and gVisor.
type device struct {
	name string
	// open opens the device, with hostPrefix on the kernel's side, and returns
	// its end for gVisor. It is closed when b ends.
	open func(b *testing.B) gstack.LinkEndpoint
}

// Those of package tun, and all.
var (
	plain   = device{"plain", func(b *testing.B) gstack.LinkEndpoint { return openTUN(b, tun.Config{NoOffload: true}) }}
	offload = device{"offload", func(b *testing.B) gstack.LinkEndpoint { return openTUN(b, tun.Config{}) }}
	fdBased = device{"fdbased", openFDBased}
	devices = []device{{"water", openWater}, fdBased, {"wireguard", openWireguard}, plain, offload}
)

// openTUN opens a device of package tun.
func openTUN(b *testing.B, cfg tun.Config) gstack.LinkEndpoint {
	b.Helper()
	cfg.Name, cfg.MTU = interfaceName, mtu
	cfg.HostAddresses = []netip.Prefix{hostPrefix}
	d, err := tun.Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	return d.Endpoint()
}
