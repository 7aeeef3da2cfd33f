package stack_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"

	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// An application of ten lines that is reached through a TUN device. What the
// host sends in fragments, it receives whole.
func Example() {
	device, err := tun.Open(tun.Config{Name: "v6s0", HostAddresses: []netip.Prefix{netip.MustParsePrefix("fd00:6::1/64")}})
	if err != nil {
		log.Fatal(err)
	}
	s, err := stack.New(stack.Config{Links: []stack.LinkConfig{{
		Name:      "tun",
		Endpoint:  device.Endpoint(),
		Addresses: []netip.Prefix{netip.MustParsePrefix("fd00:6::2/64")},
		Close:     device.Close,
	}}})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	socket, err := s.ListenPacket("udp", "[fd00:6::2]:7")
	if err != nil {
		log.Fatal(err)
	}
	buffer := make([]byte, 65536)
	for {
		n, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return
		}
		socket.WriteTo(buffer[:n], from)
	}
}

// Two stacks with a link in memory between them.
func ExampleStack_DialContext() {
	a, b := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", 1500)
	client, err := stack.New(stack.Config{Links: []stack.LinkConfig{
		{Name: "wire", Endpoint: a, Addresses: []netip.Prefix{netip.MustParsePrefix("fd00:6::1/64")}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	server, err := stack.New(stack.Config{Links: []stack.LinkConfig{
		{Name: "wire", Endpoint: b, Addresses: []netip.Prefix{netip.MustParsePrefix("fd00:6::2/64")}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	listener, err := server.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(conn, "hello")
		conn.Close()
	}()
	conn, err := client.DialContext(context.Background(), "tcp", "[fd00:6::2]:80")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	fmt.Println(string(text), err)
	// Output: hello <nil>
}
