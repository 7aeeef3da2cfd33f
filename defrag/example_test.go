package defrag_test

import (
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/wire"
)

// The engine needs no network stack: packets go in as buffers, from wherever
// they come, and datagrams come out.
func Example() {
	engine, err := defrag.New(defrag.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()

	peers := wire.Header{Source: netip.MustParseAddr("2001:db8::1"), Destination: netip.MustParseAddr("2001:db8::2")}
	payload := peers.UDP(1024, 7, make([]byte, 3000))
	var datagram defrag.Datagram
	for _, packet := range peers.Split(42, wire.UDPProtocol, payload, 1232) {
		b := buffer.MakeWithData(packet)
		verdict := engine.Gather(&b, &defrag.Metadata{}, &datagram)
		fmt.Printf("%d octets in: %v\n", len(packet), verdict)
		if verdict == defrag.Reassembled {
			fmt.Printf("%d octets out, identification %d, split at %v\n", b.Size(), datagram.Identification, datagram.Boundaries)
		}
		b.Release() // Empty where the engine took it over.
	}
	// Output:
	// 1280 octets in: held
	// 1280 octets in: held
	// 592 octets in: reassembled
	// 3048 octets out, identification 42, split at [0 154 308]
}

// A printer is told of every packet dropped, with its reason and the ICMPv6
// error that a node would send.
type printer struct{}

func (printer) HandleDrop(d *defrag.Drop) {
	fmt.Printf("packet %d, %d octets: %v, error %d/%d\n", d.Metadata.Tag, d.Packet.Size(), d.Verdict, d.Error.Type, d.Error.Code)
}

// A Handler sees each packet that is dropped: at once, with the rest of its
// datagram, or when its time is up.
func ExampleHandler() {
	clock := faketime.NewManualClock() // Any tcpip.Clock will do; nil is the system's.
	engine, err := defrag.New(defrag.Config{Clock: clock, Zone: defrag.ZoneConfig{Timeout: 2 * time.Second}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()

	peers := wire.Header{Source: netip.MustParseAddr("2001:db8::1"), Destination: netip.MustParseAddr("2001:db8::2")}
	fragments := peers.Split(42, wire.UDPProtocol, peers.UDP(1024, 7, make([]byte, 3000)), 1232)
	for i, packet := range [][]byte{fragments[0], fragments[0], fragments[1]} {
		b := buffer.MakeWithData(packet)
		engine.Gather(&b, &defrag.Metadata{Tag: uint64(i), Handler: printer{}}, nil)
		b.Release()
	}
	clock.Advance(2 * time.Second)
	// Output:
	// packet 1, 1280 octets: duplicate, error 0/0
	// packet 0, 1280 octets: timed-out, error 3/1
	// packet 2, 1280 octets: timed-out, error 0/0
}

// Zones keep reassembly apart, each with a budget, a timeout and a policy of
// its own, which may change at any time.
func ExampleEngine_SetZone() {
	engine, err := defrag.New(defrag.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()

	err = engine.SetZone(7, defrag.ZoneConfig{High: 1 << 20, Low: 2 << 20})
	fmt.Println(err)
	if err := engine.SetZone(7, defrag.ZoneConfig{Policy: defrag.Linux, High: 1 << 20, Timeout: 5 * time.Second}); err != nil {
		fmt.Println(err)
	}
	stats, known := engine.ZoneStats(7)
	fmt.Println(known, stats.Config.Policy, stats.Config.Low, stats.Config.Timeout)
	// Output:
	// zone 7: low threshold 2097152 is above high threshold 1048576: want 0 ≤ low ≤ high
	// true linux 786432 5s
}
