package main

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack"
)

// A capturing is a link that --pcap writes, and what the file holds in the end,
// by interface.
type capturing struct {
	t    *testing.T
	link stack.LinkConfig
	path string
	end  func() error
}

func startCapture(t *testing.T, lower gstack.LinkEndpoint) *capturing {
	t.Helper()
	c := &capturing{t: t, path: filepath.Join(t.TempDir(), "x.pcapng")}
	c.link.Endpoint = lower
	writer, err := captureLink(&c.link, c.path)
	if err != nil {
		t.Fatal(err)
	}
	c.end = writer.Close
	return c
}

// packets ends the capture and returns what it holds.
func (c *capturing) packets() (packets [2][][]byte) {
	c.t.Helper()
	if err := c.end(); err != nil {
		c.t.Fatal(err)
	}
	file, err := os.Open(c.path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer file.Close()
	reader, err := pcapgo.NewNgReader(file, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		c.t.Fatal(err)
	}
	for {
		data, info, err := reader.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return packets
		}
		if err != nil {
			c.t.Fatal(err)
		}
		packets[info.InterfaceIndex] = append(packets[info.InterfaceIndex], data)
	}
}

// A packetKeeper is a dispatcher that compares what is delivered.
type packetKeeper struct {
	octets [][]byte
	gso    []gstack.GSO
}

func (k *packetKeeper) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *gstack.PacketBuffer) {
	view := pkt.ToView()
	defer view.Release()
	k.octets, k.gso = append(k.octets, bytes.Clone(view.AsSlice())), append(k.gso, pkt.GSOOptions)
}

func (k *packetKeeper) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *gstack.PacketBuffer) {}

// What a link leaves to offloads is captured as it crosses the wire, and goes on
// as it is.
func TestCaptureOffloads(t *testing.T) {
	h := wire.Header{
		Source: netip.MustParseAddr("2001:db8::1"), Destination: netip.MustParseAddr("2001:db8::2"),
		Extensions: wire.Extensions{}.With(wire.DestinationOptions, wire.Options(2)),
	}
	segment := wire.Segment{Sequence: 1 << 31, Flags: wire.ACK | wire.PSH | wire.FIN, Options: wire.Payload(12)}
	plain := h.Packet(wire.UDPProtocol, h.UDP(9, 7, wire.Payload(100)))
	gso := gstack.GSO{Type: gstack.GSOTCPv6, NeedsCsum: true, CsumOffset: 16, MSS: 1000, L3HdrLen: 40}
	var sent [][]byte
	var options []gstack.GSO
	var want [][]byte
	for _, size := range []int{0, 1, 999, 1000, 1001, 20_000} {
		payload := wire.Payload(size)
		sent, options = append(sent, h.Packet(wire.TCP, h.Unsummed(segment, payload))), append(options, gso)
		want = append(want, h.Segments(segment, payload, 1000)...)
		sent, options = append(sent, plain), append(options, gstack.GSO{})
		want = append(want, plain)
	}
	lower := channel.New(len(sent), 1500, "")
	lower.SupportedGSOKind = gstack.HostGSOSupported
	c := startCapture(t, lower)
	if e, ok := c.link.Endpoint.(gstack.GSOEndpoint); !ok || e.SupportedGSO() != gstack.HostGSOSupported || e.GSOMaxSize() != lower.GSOMaxSize() {
		t.Error("the tap hides GSO")
	}
	up := new(packetKeeper)
	c.link.Endpoint.Attach(up)
	for i, octets := range sent {
		pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithData(octets)})
		pkt.GSOOptions = options[i]
		lower.InjectInbound(header.IPv6ProtocolNumber, pkt)
		if !c.link.Filter(pkt) {
			t.Error("the filter drops a packet")
		}
		var list gstack.PacketBufferList
		list.PushBack(pkt)
		if n, err := c.link.Endpoint.WritePackets(list); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		list.Reset()
	}
	down := new(packetKeeper)
	for pkt := lower.Read(); pkt != nil; pkt = lower.Read() {
		down.DeliverNetworkPacket(0, pkt)
		pkt.DecRef()
	}
	c.link.Endpoint.Attach(nil)
	for i, octets := range sent {
		for name, k := range map[string]*packetKeeper{"up": up, "down": down} {
			if !bytes.Equal(k.octets[i], octets) || k.gso[i] != options[i] {
				t.Errorf("packet %d went %s changed", i, name)
			}
		}
	}
	got := c.packets()
	wantPackets(t, "reassembled", got[reassembledInterface], want)
	// Each packet came, and went.
	var both [][]byte
	at := 0
	for i := range sent {
		n := 1
		if options[i] == gso {
			n = max(1, (len(sent[i])-40-16-32+999)/1000)
		}
		both = append(append(both, want[at:at+n]...), want[at:at+n]...)
		at += n
	}
	wantPackets(t, "wire", got[wireInterface], both)
}

func wantPackets(t *testing.T, name string, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d packets, want %d", name, len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("%s: packet %d is\n%x\nwant\n%x", name, i, got[i], want[i])
		}
	}
}

// What is said to be a large segment and cannot be one is captured as it is.
func TestCaptureNoSegment(t *testing.T) {
	h := wire.Header{Source: netip.MustParseAddr("2001:db8::1"), Destination: netip.MustParseAddr("2001:db8::2")}
	packet := h.Packet(wire.UDPProtocol, h.UDP(9, 7, wire.Payload(4000)))
	c := startCapture(t, channel.New(1, 1500, ""))
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
	pkt.GSOOptions = gstack.GSO{Type: gstack.GSOTCPv6, NeedsCsum: true, CsumOffset: 16, MSS: 1000, L3HdrLen: 40}
	c.link.Filter(pkt)
	pkt.DecRef()
	wantPackets(t, "reassembled", c.packets()[reassembledInterface], [][]byte{packet})
}
