package linkep_test

import (
	"bytes"
	"context"
	"runtime/debug"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// patience bounds waits for what must happen; it is no measure of speed.
const patience = 60 * time.Second

// within runs f; if it hangs, it ends the process with the stacks of all
// goroutines, because cleaning up would hang, too.
func within(what string, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		debug.SetTraceback("all")
		go panic(what + " hangs")
		<-done
	}
}

const mtu = 1500

// A link is a lower endpoint with its far end.
type link interface {
	endpoint() gstack.LinkEndpoint
	// send sends an IPv6 packet to the endpoint.
	send(t testing.TB, packet []byte)
	// receive returns the next IPv6 packet that the endpoint sent.
	receive(t testing.TB) []byte
}

// links are the kinds of link that the endpoint is tested over; there are more
// on Linux.
var links = []struct {
	name string
	make func(t testing.TB) link
}{
	{"channel", func(testing.TB) link { return newChannelLink() }},
	{"ethernet", func(testing.TB) link { return newEthernetLink() }},
}

// A channelLink is gVisor's channel endpoint: all happens on the caller's
// goroutine.
type channelLink struct{ *channel.Endpoint }

func newChannelLink() *channelLink { return &channelLink{channel.New(256, mtu, "")} }

func (l *channelLink) endpoint() gstack.LinkEndpoint { return l.Endpoint }

func (l *channelLink) send(_ testing.TB, packet []byte) {
	pkt := newPacket(packet)
	defer pkt.DecRef()
	l.InjectInbound(header.IPv6ProtocolNumber, pkt)
}

func (l *channelLink) receive(t testing.TB) []byte {
	t.Helper()
	return receiveFrom(t, l.Endpoint)
}

func receiveFrom(t testing.TB, c *channel.Endpoint) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pkt := c.ReadContext(ctx)
	if pkt == nil {
		t.Fatal("nothing was sent")
	}
	defer pkt.DecRef()
	return bytesOf(pkt)
}

// An ethernetLink frames the packets of a channel endpoint.
type ethernetLink struct {
	*ethernet.Endpoint
	channel *channel.Endpoint
}

func newEthernetLink() *ethernetLink {
	c := channel.New(256, mtu+header.EthernetMinimumSize, localMAC)
	return &ethernetLink{ethernet.New(c), c}
}

func (l *ethernetLink) endpoint() gstack.LinkEndpoint { return l.Endpoint }

func (l *ethernetLink) send(_ testing.TB, packet []byte) {
	pkt := newPacket(frame(packet))
	defer pkt.DecRef()
	l.channel.InjectInbound(0, pkt)
}

func (l *ethernetLink) receive(t testing.TB) []byte {
	t.Helper()
	return unframe(t, receiveFrom(t, l.channel))
}

// frame returns packet in an Ethernet frame from the peer to us.
func frame(packet []byte) []byte {
	f := make([]byte, header.EthernetMinimumSize, header.EthernetMinimumSize+len(packet))
	header.Ethernet(f).Encode(&header.EthernetFields{
		SrcAddr: peerMAC, DstAddr: localMAC, Type: header.IPv6ProtocolNumber,
	})
	return append(f, packet...)
}

// unframe returns the packet in a frame, which has to go from us to the peer.
func unframe(t testing.TB, octets []byte) []byte {
	t.Helper()
	want := []byte(string(peerMAC) + string(localMAC) + "\x86\xdd")
	if len(octets) < len(want) || !bytes.Equal(octets[:len(want)], want) {
		t.Fatalf("frame %x, want header %x", octets, want)
	}
	return octets[len(want):]
}
