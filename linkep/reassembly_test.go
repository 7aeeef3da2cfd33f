package linkep_test

import (
	"bytes"
	"net"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/linkep"
)

const (
	peerPort  = 4000
	localPort = 7
)

// listen opens a UDP socket at our address.
func listen(t testing.TB, s *gstack.Stack) *gonet.UDPConn {
	t.Helper()
	c, err := gonet.DialUDP(s, &tcpip.FullAddress{Port: localPort}, nil, header.IPv6ProtocolNumber)
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// read returns the next datagram and its source.
func read(t testing.TB, c *gonet.UDPConn) ([]byte, net.Addr) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	octets := make([]byte, 1<<16)
	n, from, err := c.ReadFrom(octets)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return octets[:n], from
}

// fragmentsOf returns the fragments of a UDP datagram to our socket.
func fragmentsOf(id uint32, payload []byte, size int) [][]byte {
	return inbound.Split(id, wire.UDPProtocol, inbound.UDP(peerPort, localPort, payload), size)
}

func TestFragmentsInDatagramUpReplyOut(t *testing.T) {
	for _, kind := range links {
		t.Run(kind.name, func(t *testing.T) {
			l := kind.make(t)
			e := newEndpoint(t, l.endpoint(), linkep.Options{})
			s := newStack(t)
			addNIC(t, s, nicID, e, local)
			socket := listen(t, s)

			for id, size := range []int{8, 64, 512, 1432} {
				payload := wire.Payload(9000)
				packets := fragmentsOf(uint32(id), payload, size)
				if id%2 == 1 {
					slices.Reverse(packets)
				}
				for _, packet := range packets {
					l.send(t, packet)
				}
				got, from := read(t, socket)
				if !bytes.Equal(got, payload) {
					t.Fatalf("fragments of %d: %d octets came up, want the %d sent", size, len(got), len(payload))
				}
				reply := wire.Payload(100 + id)
				if _, err := socket.WriteTo(reply, from); err != nil {
					t.Fatalf("reply: %v", err)
				}
				checkReply(t, l.receive(t), reply)
			}
			if got := e.Engine().Stats().Total.Datagrams; got != 4 {
				t.Errorf("the engine reassembled %d datagrams, want 4", got)
			}
		})
	}
}

// checkReply checks that packet is the UDP datagram from our socket to the
// peer that carries payload.
func checkReply(t testing.TB, packet, payload []byte) {
	t.Helper()
	outbound := wire.Header{Source: local, Destination: peer}
	want := outbound.Packet(wire.UDPProtocol, outbound.UDP(localPort, peerPort, payload))
	if len(packet) < 40 {
		t.Fatalf("reply of %d octets", len(packet))
	}
	copy(want[:4], packet[:4]) // gVisor's flow label
	if !bytes.Equal(packet, want) {
		t.Fatalf("reply\n%x, want\n%x", packet, want)
	}
}

// Whatever the views a fragment comes in, the datagram and its link header
// come out the same.
func TestViews(t *testing.T) {
	payload := inbound.UDP(peerPort, localPort, wire.Payload(3000))
	want := inbound.Packet(wire.UDPProtocol, payload)
	for _, cuts := range [][]int{nil, {1}, {14, 40}, {7, 3, 30, 8}, {54}, {62}, {100, 100, 100}} {
		lower := newEthernetLink()
		e := newEndpoint(t, lower.endpoint(), linkep.Options{})
		up := new(recorder)
		e.Attach(up)
		for _, packet := range inbound.Split(1, wire.UDPProtocol, payload, 1024) {
			pkt := newPacket(frame(packet), cuts...)
			lower.channel.InjectInbound(0, pkt)
			pkt.DecRef()
		}
		if len(up.packets) != 1 {
			t.Fatalf("cuts %v: %d packets went up, want 1", cuts, len(up.packets))
		}
		got := up.packets[0]
		if got.protocol != header.IPv6ProtocolNumber || !bytes.Equal(got.octets, frame(want)) ||
			!bytes.Equal(got.link, frame(nil)) {
			t.Errorf("cuts %v: %#x, link header %x", cuts, got.protocol, got.link)
		}
	}
}

func TestOnDatagramComesBeforeFilter(t *testing.T) {
	var order []string
	var seen defrag.Datagram
	var options linkep.Options
	options.Zone = 7
	options.OnDatagram = func(pkt *gstack.PacketBuffer, d *defrag.Datagram) {
		order = append(order, "datagram")
		seen = *d
		seen.Boundaries = slices.Clone(d.Boundaries)
	}
	options.Filter = func(pkt *gstack.PacketBuffer) bool {
		order = append(order, "filter")
		return true
	}
	lower := newChannelLink()
	e := newEndpoint(t, lower.endpoint(), options)
	e.Attach(new(recorder))
	for _, packet := range fragmentsOf(0xabcdef01, wire.Payload(2000), 800) {
		lower.send(t, packet)
	}
	if want := []string{"datagram", "filter"}; !slices.Equal(order, want) {
		t.Errorf("called %v, want %v", order, want)
	}
	if seen.Identification != 0xabcdef01 || seen.Metadata.Zone != 7 || seen.LargestPacket != 848 ||
		seen.UnfragmentableLength != 40 || !slices.Equal(seen.Boundaries, []uint16{0, 100, 200}) {
		t.Errorf("datagram %+v", seen)
	}
}

// Filter sees a reassembled datagram once, with its ports, and never a
// fragment; what it refuses does not go up.
func TestFilter(t *testing.T) {
	ipv4 := append([]byte{0x45, 0, 0, 20}, make([]byte, 16)...)
	var sizes []int
	lower := newChannelLink()
	e := newEndpoint(t, lower.endpoint(), linkep.Options{
		Filter: func(pkt *gstack.PacketBuffer) bool {
			sizes = append(sizes, pkt.Data().Size())
			if pkt.NetworkProtocolNumber != header.IPv6ProtocolNumber {
				return true
			}
			octets, ok := pkt.Data().PullUp(48)
			return ok && header.UDP(octets[40:]).DestinationPort() != localPort
		},
	})
	up := new(recorder)
	e.Attach(up)

	pkt := newPacket(ipv4)
	lower.InjectInbound(header.IPv4ProtocolNumber, pkt)
	pkt.DecRef()
	for _, packet := range fragmentsOf(1, wire.Payload(1000), 512) {
		lower.send(t, packet)
	}
	lower.send(t, inbound.Packet(wire.UDPProtocol, inbound.UDP(peerPort, localPort, nil)))
	lower.send(t, inbound.Packet(wire.UDPProtocol, inbound.UDP(peerPort, localPort+1, nil)))

	if want := []int{20, 1048, 48, 48}; !slices.Equal(sizes, want) {
		t.Errorf("the filter saw packets of %v octets, want %v", sizes, want)
	}
	if len(up.packets) != 2 || up.packets[0].protocol != header.IPv4ProtocolNumber {
		t.Errorf("%d packets went up, want IPv4 and the one to another port", len(up.packets))
	}
	if got := e.Stats().Filtered; got != 2 {
		t.Errorf("filtered %d, want 2", got)
	}
}

// Two endpoints that share an engine complete each other's unicast datagrams,
// and do not where their zones differ.
func TestSharedEngine(t *testing.T) {
	engine, err := defrag.New(defrag.Config{Clock: newClock()})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	zone := func(z defrag.Zone) func(*gstack.PacketBuffer) defrag.Zone {
		return func(*gstack.PacketBuffer) defrag.Zone { return z }
	}
	lowers := []*channelLink{newChannelLink(), newChannelLink(), newChannelLink()}
	ups := []*recorder{{}, {}, {}}
	endpoints := make([]*linkep.Endpoint, 3)
	for i, z := range []defrag.Zone{1, 1, 2} {
		endpoints[i] = newEndpoint(t, lowers[i].endpoint(), linkep.Options{Engine: engine, ZoneOf: zone(z)})
		endpoints[i].Attach(ups[i])
		if endpoints[i].Engine() != engine {
			t.Fatal("not the engine given")
		}
	}
	packets := fragmentsOf(5, wire.Payload(1500), 800)
	lowers[0].send(t, packets[0])
	lowers[2].send(t, packets[1])
	lowers[1].send(t, packets[1])
	if got := [3]int{len(ups[0].packets), len(ups[1].packets), len(ups[2].packets)}; got != [3]int{0, 1, 0} {
		t.Errorf("datagrams up %v, want one at the second endpoint", got)
	}
	if held := engine.Stats().Total.Fragments; held != 1 {
		t.Fatalf("%d fragments held, want the third endpoint's", held)
	}
	endpoints[2].Close()
	if held := engine.Stats().Total.Fragments; held != 0 {
		t.Errorf("%d fragments held after the third endpoint was closed", held)
	}
	lowers[0].send(t, packets[0])
	if held := engine.Stats().Total.Fragments; held != 1 {
		t.Errorf("%d fragments held: the shared engine must go on", held)
	}
}
