package tun_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/tun"
)

// pipeSpy is an endpoint that notes the largest packet written.
type pipeSpy struct {
	gstack.LinkEndpoint
	gstack.GSOEndpoint
	largest atomic.Int64
}

func spyOn(endpoint gstack.LinkEndpoint) *pipeSpy {
	return &pipeSpy{LinkEndpoint: endpoint, GSOEndpoint: endpoint.(gstack.GSOEndpoint)}
}

func (s *pipeSpy) WritePackets(pkts gstack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		s.largest.Store(max(s.largest.Load(), int64(pkt.Size()))) // A higher one may be lost, once.
	}
	return s.LinkEndpoint.WritePackets(pkts)
}

// Two stacks talk TCP over a pipe, a megabyte there and back. Not at once:
// where both send and neither reads fast enough, gVisor's windows may close for
// good.
func TestPipeTCP(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, family := range []int{4, 6} {
			for _, mtu := range []int{1280, 1500, tun.MaxMTU} {
				t.Run(fmt.Sprintf("offload=%v/ipv%d/mtu=%d", !plain, family, mtu), func(t *testing.T) {
					testPipeTCP(t, tun.PipeConfig{MTU: mtu, NoOffload: plain}, family == 4)
				})
			}
		}
	}
}

func testPipeTCP(t *testing.T, cfg tun.PipeConfig, v4 bool) {
	a, b := newPipe(t, cfg)
	spy := spyOn(a.Endpoint())
	client, server := pipeStack(t, spy, 0), pipeStack(t, b.Endpoint(), 1)
	address := pipeEnds6[1]
	if v4 {
		address = pipeEnds4[1]
	}
	protocol := pipeProtocol(address)
	listener, err := gonet.ListenTCP(server, pipeAddress(address, 80), protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()

	payload := pipeOctets(1 << 20)
	answered := make(chan error, 1)
	go func() { // until the connection ends
		conn, err := listener.Accept()
		if err == nil {
			err = answerPipe(conn)
		}
		answered <- err
	}()
	conn, err := gonet.DialContextTCP(pipeContext(t), client, pipeAddress(address, 80), protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	deadline, _ := pipeContext(t).Deadline()
	conn.SetDeadline(deadline)
	if _, err := conn.Write(payload); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, payload) {
		t.Errorf("got %d octets and %v, want the %d that were sent", len(got), err, len(payload))
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if whole := spy.largest.Load() > int64(cfg.MTU); whole == (cfg.NoOffload || cfg.MTU == tun.MaxMTU) {
		t.Errorf("the largest packet had %d octets, of an MTU of %d", spy.largest.Load(), cfg.MTU)
	}
	for _, end := range []*tun.Device{a, b} {
		if s := end.Stats(); s.BadChecksum != 0 || s.NotIP != 0 || s.Malformed != 0 {
			t.Errorf("got %+v, want nothing wrong", s)
		}
	}
}

// answerPipe sends back what it gets, once it has got all.
func answerPipe(conn net.Conn) error {
	defer conn.Close()
	all, err := io.ReadAll(conn)
	if err == nil {
		_, err = conn.Write(all)
	}
	return err
}

// Datagrams longer than the MTU go in fragments, which no offload touches.
func TestPipeFragments(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for end, address := range map[string]tcpip.FullAddress{
			"ipv4": pipeAddress(pipeEnds4[1], 53),
			"ipv6": pipeAddress(pipeEnds6[1], 53),
		} {
			t.Run(fmt.Sprintf("offload=%v/%s", !plain, end), func(t *testing.T) {
				a, b := newPipe(t, tun.PipeConfig{MTU: 1280, NoOffload: plain})
				spy := spyOn(a.Endpoint())
				client, server := pipeStack(t, spy, 0), pipeStack(t, b.Endpoint(), 1)
				protocol := pipeProtocol(pipeEnds6[0])
				if end == "ipv4" {
					protocol = pipeProtocol(pipeEnds4[0])
				}
				listener, err := gonet.DialUDP(server, &address, nil, protocol)
				if err != nil {
					t.Fatal(err)
				}
				defer listener.Close()
				conn, err := gonet.DialUDP(client, nil, &address, protocol)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				for _, size := range []int{1000, 20000, 60000} {
					exchangePipeDatagram(t, conn, listener, pipeOctets(size))
				}
				if spy.largest.Load() > 1280 {
					t.Errorf("the largest packet had %d octets, want at most 1280", spy.largest.Load())
				}
			})
		}
	}
}

// exchangePipeDatagram sends a datagram and its echo.
func exchangePipeDatagram(t *testing.T, conn, listener *gonet.UDPConn, payload []byte) {
	t.Helper()
	deadline, _ := pipeContext(t).Deadline()
	conn.SetReadDeadline(deadline)
	listener.SetReadDeadline(deadline)
	if _, err := conn.Write(payload); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(payload)+1)
	n, from, err := listener.ReadFrom(got)
	if err != nil || !bytes.Equal(got[:n], payload) {
		t.Fatalf("got %d octets and %v, want the %d that were sent", n, err, len(payload))
	}
	if _, err := listener.WriteTo(got[:n], from); err != nil {
		t.Fatal(err)
	}
	n, err = conn.Read(got)
	if err != nil || !bytes.Equal(got[:n], payload) {
		t.Errorf("got %d octets back and %v, want the %d that were sent", n, err, len(payload))
	}
}
