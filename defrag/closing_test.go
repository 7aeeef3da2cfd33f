package defrag

import (
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/v6stack/v6stack/internal/wire"
)

// A zone that is removed while a packet for it is on its way takes no queue;
// the packet goes to the zone that has its place.
func TestRemovedZoneTakesNothing(t *testing.T) {
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	removed := e.zones.need(5)
	e.RemoveZone(5)
	if removed.link(new(queue)) {
		t.Fatal("the removed zone took a queue")
	}
	b := buffer.MakeWithData(ends.Split(1, wire.UDPProtocol, ends.UDP(1, 2, wire.Payload(100)), 64)[0])
	p, _, _ := inspect(&b, RFC8200)
	if v := e.gather(removed, removed.config.Load(), &p, &b, &Metadata{Zone: 5}, nil); v != Held {
		t.Fatal(v)
	}
	if s, known := e.ZoneStats(5); !known || s.Queues != 1 {
		t.Errorf("zone 5: known %v, %d queues", known, s.Queues)
	}
}

// A shard that is closed while a packet for it is on its way takes no queue.
func TestClosedShardTakesNothing(t *testing.T) {
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for i := range e.shards {
		e.shards[i].close()
	}
	b := buffer.MakeWithData(ends.Split(1, wire.UDPProtocol, ends.UDP(1, 2, wire.Payload(100)), 64)[0])
	defer b.Release()
	if v := e.Gather(&b, &Metadata{}, nil); v != EngineClosed {
		t.Errorf("%v, want engine-closed", v)
	}
	if s := e.Stats().Total; s.Queues != 0 || s.Bytes != 0 {
		t.Errorf("%d queues, %d octets", s.Queues, s.Bytes)
	}
}
