package tun_test

import (
	"fmt"
	"log"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/tun"
)

// A TUN device with an address on the host's side becomes the only link of a
// gVisor stack.
func ExampleOpen() {
	device, err := tun.Open(tun.Config{
		Name:          "v6s0",
		HostAddresses: []netip.Prefix{netip.MustParsePrefix("fd00:6::1/64")},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()

	s := gstack.New(gstack.Options{
		NetworkProtocols: []gstack.NetworkProtocolFactory{ipv6.NewProtocol},
	})
	defer s.Destroy()
	if err := s.CreateNIC(1, device.Endpoint()); err != nil {
		log.Fatal(err)
	}
}

// The error says which field is at fault, and what is allowed.
func ExampleOpen_refused() {
	_, err := tun.Open(tun.Config{MTU: 576})
	fmt.Println(err)
	// Output: open TUN: bad configuration: MTU 576 is not within 1280…65535
}
