package capture_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"testing"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/capture"
	"github.com/v6stack/v6stack/internal/wire"
)

// A source delivers records forever more, and calls check ahead of each read
// with the number of whole records that it has delivered.
type source struct {
	head   []byte
	record func(i int) []byte
	count  int
	check  func(delivered int)

	delivered int
	rest      []byte
}

func (s *source) Read(p []byte) (int, error) {
	if s.head != nil {
		n := copy(p, s.head)
		s.head = nil
		return n, nil
	}
	whole := s.delivered
	if len(s.rest) > 0 {
		whole--
	}
	s.check(max(whole, 0))
	n := 0
	for n < len(p) {
		if len(s.rest) == 0 {
			if s.delivered == s.count {
				break
			}
			s.rest = s.record(s.delivered)
			s.delivered++
		}
		copied := copy(p[n:], s.rest)
		n, s.rest = n+copied, s.rest[copied:]
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// A counter counts the octets written.
type counter struct{ octets int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.octets += int64(len(p))
	return len(p), nil
}

// run defragments what s delivers.
func (s *source) run(t *testing.T, out io.Writer, opts capture.Options) capture.Counts {
	t.Helper()
	reader, err := capture.NewReader(s)
	if err != nil {
		t.Fatal(err)
	}
	counts, err := capture.Defragment(t.Context(), reader, out, opts)
	if err != nil {
		t.Fatal(err)
	}
	if counts.Packets != uint64(s.count) {
		t.Errorf("%d packets, want %d", counts.Packets, s.count)
	}
	return counts
}

// TestStreamHoldsNothing copies 200,000 packets, of which half are fragments
// of two: whenever more is read, all that can be out is out.
func TestStreamHoldsNothing(t *testing.T) {
	f := newPcapFile(capture.Raw)
	whole, fragments := echo(hosts, 1, 2000, 1448)
	other := hosts.Packet(wire.UDPProtocol, hosts.UDP(1, 2, nil))
	cycle := [][]byte{other, fragments[0], other, fragments[1]}
	var records [4][]byte
	for i := range records {
		records[i] = f.packet(packetAt{seconds: 1, data: cycle[i]})
	}
	outOf := [4]int64{int64(16 + len(other)), 0, int64(16 + len(other)), int64(16 + len(whole))}
	var out counter
	in := &source{head: f.header(), count: 200_000, record: func(i int) []byte { return records[i%4] }}
	in.check = func(delivered int) {
		want := int64(24)
		for i, n := range outOf {
			want += n * int64((delivered+3-i)/4)
		}
		if out.octets != want && delivered > 0 {
			t.Fatalf("after %d packets %d octets are out, want %d", delivered, out.octets, want)
		}
	}
	counts := in.run(t, &out, capture.Options{})
	if counts.Datagrams != 50_000 {
		t.Errorf("%d datagrams, want 50000", counts.Datagrams)
	}
}

// TestStreamForgetsLosses gathers 50,000 fragments that never complete in a
// small budget: what is not held has been told.
func TestStreamForgetsLosses(t *testing.T) {
	f := newPcapFile(capture.Raw)
	piece := make([]byte, 1024)
	told := 0
	in := &source{head: f.header(), count: 50_000, record: func(i int) []byte {
		fragment := hosts.Fragment(wire.Fragment{ID: uint32(i), Next: wire.UDPProtocol, Offset: 1024, More: true}, piece)
		return f.packet(packetAt{seconds: 1, data: fragment})
	}}
	const budget = 256 << 10
	in.check = func(delivered int) {
		if held := delivered - told; held*len(piece) > budget {
			t.Fatalf("%d of %d fragments are held in a budget of %d octets", held, delivered, budget)
		}
	}
	counts := in.run(t, io.Discard, capture.Options{
		Zone:   defrag.ZoneConfig{High: budget},
		OnLoss: func(*capture.Loss) { told++ },
	})
	if counts.Dropped[defrag.Evicted] < 49_000 || counts.Losses() != 50_000 {
		t.Errorf("losses %v", counts.Dropped)
	}
}

// TestLivePipe delivers each packet before the next is there.
func TestLivePipe(t *testing.T) {
	f := newPcapFile(capture.Raw)
	whole, fragments := echo(hosts, 1, 2000, 1448)
	inReader, in := io.Pipe()
	out, outWriter := io.Pipe()
	done := make(chan error, 1)
	go func() { // ends when in is closed
		reader, err := capture.NewReader(inReader)
		if err == nil {
			_, err = capture.Defragment(t.Context(), reader, outWriter, capture.Options{})
		}
		outWriter.CloseWithError(err)
		done <- err
	}()
	send := func(octets []byte) {
		if _, err := in.Write(octets); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want []byte) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(out, got); err != nil {
			t.Fatal(err)
		}
		mustEqual(t, got, want)
	}
	at := func(second uint32, data []byte) []byte { return f.packet(packetAt{seconds: second, data: data}) }
	send(f.header())
	expect(f.header())
	for i := range uint32(10) {
		send(at(3*i, fragments[1]))
		send(at(3*i+1, whole))
		expect(at(3*i+1, whole))
		send(at(3*i+2, fragments[0])[:700])
		send(at(3*i+2, fragments[0])[700:])
		expect(at(3*i+2, whole))
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(out); len(rest) != 0 || err != nil {
		t.Errorf("%d octets more, error %v", len(rest), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestClaimedLengths claims no memory for octets that are not there.
func TestClaimedLengths(t *testing.T) {
	ng := littleNG
	block := ng.block(77, make([]byte, 64))
	ng.order.PutUint32(block[4:], capture.MaxRecord)
	f := newPcapFile(capture.Raw)
	f.snap = 1 << 31
	packet := f.packet(packetAt{data: make([]byte, 64)})
	f.order.PutUint32(packet[8:], capture.MaxRecord)
	for name, in := range map[string][]byte{
		"pcapng": join(ng.section(), block),
		"pcap":   join(f.header(), packet),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := defragment(t, in, capture.Options{})
		runtime.ReadMemStats(&after)
		if r.err == nil {
			t.Errorf("%s: no error", name)
		}
		if claimed := after.TotalAlloc - before.TotalAlloc; claimed > 32<<20 {
			t.Errorf("%s: %d octets allocated for a file of %d", name, claimed, len(in))
		}
	}
}

// TestLongRecords reads records that are longer than any buffer.
func TestLongRecords(t *testing.T) {
	ng := littleNG
	long := ng.block(77, bytes.Repeat([]byte{1, 2, 3}, 1<<20))
	in := join(ng.section(), long, ng.block(78), long)
	defragment(t, in, capture.Options{}).mustBe(t, in)
	jumbo := make([]byte, 1<<20)
	jumbo[0] = 6 << 4
	f := pcapFile{binary.BigEndian, 0xa1b2c3d4, 1 << 21, uint32(capture.Raw)}
	in = f.file(jumbo, []byte("x"), jumbo)
	defragment(t, in, capture.Options{}).mustBe(t, in)
}
