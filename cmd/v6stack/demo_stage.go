package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	gipv6 "gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	gicmp "gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// The two ends of the demonstration's link.
var (
	demoHost  = netip.MustParsePrefix("fd00:6::1/64")
	demoStack = netip.MustParsePrefix("fd00:6::2/64")
)

const demoMTU = 1500

// A stage is where a demonstration happens: somebody who pings, a link, and a
// stack behind it that answers.
type stage struct {
	title string // headline
	host  string // who pings
	link  string // what the link is
	// conn carries ICMPv6 messages to the stack and its echo replies back.
	conn   net.PacketConn
	to     net.Addr
	record *record
	undo   []func() error // last things first
}

// close takes the stage down.
func (s *stage) close() error {
	var errs []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		errs = append(errs, s.undo[i]())
	}
	s.undo = nil
	return errors.Join(errs...)
}

// newKernelStage returns a stage on which the kernel of the network namespace
// pings through a TUN device.
func newKernelStage() (*stage, error) {
	s := &stage{title: "this machine's kernel pings gVisor through a TUN device", host: "the kernel"}
	if err := s.buildKernel(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) buildKernel() error {
	device, err := tun.Open(tun.Config{Name: "v6demo", MTU: demoMTU, HostAddresses: []netip.Prefix{demoHost}})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, device.Close)
	s.link = fmt.Sprintf("TUN device %s, MTU %d", device.Name(), device.MTU())
	if err := s.addStack(device.Endpoint()); err != nil {
		return err
	}
	conn, err := icmp.ListenPacket("ip6:ipv6-icmp", demoHost.Addr().String())
	if err != nil {
		return fmt.Errorf("open a raw ICMPv6 socket: %w", err)
	}
	s.undo = append(s.undo, conn.Close)
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeEchoReply)
	if err := conn.IPv6PacketConn().SetICMPFilter(&filter); err != nil {
		return fmt.Errorf("filter ICMPv6: %w", err)
	}
	s.conn, s.to = conn, &net.IPAddr{IP: demoStack.Addr().AsSlice()}
	return nil
}

// newMemoryStage returns a stage in memory, on which another stack of gVisor's
// pings.
func newMemoryStage() (*stage, error) {
	s := &stage{
		title: "in memory, without the kernel: one stack of gVisor's pings another",
		host:  "one stack",
		link:  fmt.Sprintf("a link in memory, MTU %d", demoMTU),
	}
	if err := s.buildMemory(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) buildMemory() error {
	near, far := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", demoMTU)
	if err := s.addStack(far); err != nil {
		return err
	}
	host, err := stack.New(stack.Config{Links: []stack.LinkConfig{
		{Name: "memory", Endpoint: near, Addresses: []netip.Prefix{demoHost}},
	}})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, host.Close)
	zone, _ := host.Zone("")
	var queue waiter.Queue
	endpoint, terr := zone.Netstack().NewEndpoint(gicmp.ProtocolNumber6, gipv6.ProtocolNumber, &queue)
	if terr != nil {
		return fmt.Errorf("open an ICMPv6 socket: %v", terr)
	}
	// gonet's UDPConn does for any socket of datagrams.
	conn := gonet.NewUDPConn(&queue, endpoint)
	s.undo = append(s.undo, conn.Close)
	if err := endpoint.Bind(tcpip.FullAddress{Addr: tcpip.AddrFrom16(demoHost.Addr().As16())}); err != nil {
		return fmt.Errorf("bind an ICMPv6 socket: %v", err)
	}
	s.conn, s.to = conn, &net.UDPAddr{IP: demoStack.Addr().AsSlice()}
	return nil
}

// addStack adds the stack that answers, at the far end of endpoint.
func (s *stage) addStack(endpoint gstack.LinkEndpoint) error {
	s.record = &record{host: demoHost.Addr(), stack: demoStack.Addr()}
	answering, err := stack.New(stack.Config{Links: []stack.LinkConfig{{
		Name:       "demo",
		Endpoint:   newTap(endpoint, s.record.packet),
		Addresses:  []netip.Prefix{demoStack},
		OnDatagram: s.record.datagram,
	}}})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, answering.Close)
	return nil
}

// ping sends an echo request and returns the payload of its reply.
func (s *stage) ping(ctx context.Context, number int, payload []byte) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer stop()
	ident := uint16(os.Getpid())
	message := make([]byte, header.ICMPv6EchoMinimumSize, header.ICMPv6EchoMinimumSize+len(payload))
	request := header.ICMPv6(message)
	request.SetType(header.ICMPv6EchoRequest)
	request.SetIdent(ident)
	request.SetSequence(uint16(number))
	if _, err := s.conn.WriteTo(append(message, payload...), s.to); err != nil {
		return nil, err
	}
	buffer := make([]byte, 1<<16)
	for {
		n, _, err := s.conn.ReadFrom(buffer)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no reply: %w", context.Cause(ctx))
		}
		if err != nil {
			return nil, err
		}
		if isReply(buffer[:n], number) {
			return buffer[header.ICMPv6EchoMinimumSize:n], nil
		}
	}
}

// isReply reports whether message is an echo reply of that number. The
// identifier is the socket's own matter: gVisor's puts in its own.
func isReply(message []byte, number int) bool {
	return len(message) >= header.ICMPv6EchoMinimumSize &&
		header.ICMPv6(message).Type() == header.ICMPv6EchoReply &&
		binary.BigEndian.Uint16(message[6:]) == uint16(number)
}
