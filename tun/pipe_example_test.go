package tun_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/v6stack/v6stack/tun"
)

// Two gVisor stacks on the ends of a pipe are a network for a test: no
// privilege, no interface, and large segments pass whole.
func ExamplePipe() {
	a, b := tun.Pipe(tun.PipeConfig{MTU: 1280})
	defer a.Close()
	defer b.Close()
	client, server := exampleStack(a, "\xfd\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0a"), exampleStack(b, exampleServer)
	defer client.Destroy()
	defer server.Destroy()

	listener, err := gonet.ListenTCP(server, tcpip.FullAddress{Port: 80}, ipv6.ProtocolNumber)
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	go func() { // ends with its one connection
		if conn, err := listener.Accept(); err == nil {
			io.WriteString(conn, "across the pipe")
			conn.Close()
		}
	}()
	address := tcpip.FullAddress{Addr: tcpip.AddrFromSlice([]byte(exampleServer)), Port: 80}
	conn, err := gonet.DialContextTCP(context.Background(), client, address, ipv6.ProtocolNumber)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	greeting, err := io.ReadAll(conn)
	fmt.Println(string(greeting), err)
	// Output: across the pipe <nil>
}

// exampleServer is fd00:6::b.
const exampleServer = "\xfd\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0b"

// exampleStack returns a stack whose only NIC is device.
func exampleStack(device *tun.Device, address string) *gstack.Stack {
	s := gstack.New(gstack.Options{
		NetworkProtocols:   []gstack.NetworkProtocolFactory{ipv6.NewProtocol},
		TransportProtocols: []gstack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if err := s.CreateNIC(1, device.Endpoint()); err != nil {
		log.Fatal(err)
	}
	if err := s.AddProtocolAddress(1, tcpip.ProtocolAddress{
		Protocol:          ipv6.ProtocolNumber,
		AddressWithPrefix: tcpip.AddrFromSlice([]byte(address)).WithPrefix(),
	}, gstack.AddressProperties{}); err != nil {
		log.Fatal(err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv6EmptySubnet, NIC: 1}})
	return s
}
