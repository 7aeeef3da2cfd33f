package tunbench

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

const (
	// window is how many octets of datagrams may be under way: no queue between
	// the sockets needs to drop any.
	window = 240 << 10
	// batches is in how many parts the window is given back.
	batches = 4
	// lossTimeout is when a datagram counts as lost that the window waits for.
	lossTimeout = 100 * time.Millisecond
	// sequenceSize is the length of the number that begins each datagram.
	sequenceSize = 8
	// datagramWarmUp is how long datagrams flow before they are measured.
	datagramWarmUp = 100 * time.Millisecond
)

// A flow is datagrams of one length, numbered from 0, between two sockets.
type flow struct {
	*watchdog
	from, to       net.Conn
	sent, datagram []byte // sent is the sender's
	want           []byte // what a datagram is, but for its number
	batch          int
	credits        chan struct{} // a batch that has arrived each
	stopping       chan struct{}
	last           int64 // the number of the newest that has arrived
	received       int64
}

// startFlow begins to send datagrams of size octets. It ends with b, and so do
// both sockets.
func startFlow(b *testing.B, from, to net.Conn, size int) *flow {
	f := &flow{
		from:     from,
		to:       to,
		want:     make([]byte, size),
		datagram: make([]byte, size+1),
		batch:    min(64, max(1, window/batches/size)),
		credits:  make(chan struct{}, batches),
		stopping: make(chan struct{}),
		last:     -1,
	}
	rand.NewChaCha8([32]byte{}).Read(f.want)
	f.sent = bytes.Clone(f.want)
	done := make(chan struct{})
	b.Cleanup(func() { <-done })
	f.watchdog = watch(b, from, to)
	b.Cleanup(func() { close(f.stopping) })
	for range batches {
		f.credits <- struct{}{}
	}
	go func() {
		defer close(done)
		f.send()
	}()
	return f
}

// send sends until the flow ends.
func (f *flow) send() {
	for number := uint64(0); f.awaitCredit(); {
		for range f.batch {
			binary.BigEndian.PutUint64(f.sent, number)
			if _, err := f.from.Write(f.sent); err != nil && f.hasEnded() {
				return
			}
			number++
		}
	}
}

// awaitCredit waits until a batch may be sent, and reports whether the flow
// goes on.
func (f *flow) awaitCredit() bool {
	select {
	case <-f.credits:
		return !f.hasEnded()
	default:
	}
	timeout := time.NewTimer(lossTimeout)
	defer timeout.Stop()
	select {
	case <-f.credits:
	case <-timeout.C:
	case <-f.stopping:
	}
	return !f.hasEnded()
}

func (f *flow) hasEnded() bool {
	select {
	case <-f.stopping:
		return true
	default:
		return f.barked.Load()
	}
}

// read reads a datagram, of which it checks the length and the number.
func (f *flow) read(b *testing.B) {
	n, err := f.to.Read(f.datagram)
	if err != nil {
		f.fail(b, err)
	}
	if n != len(f.want) {
		b.Fatalf("a datagram of %d octets, want %d", n, len(f.want))
	}
	number := int64(binary.BigEndian.Uint64(f.datagram))
	if number <= f.last {
		b.Fatalf("datagram %d came after datagram %d", number, f.last)
	}
	f.last = number
	f.received++
	f.progress.Add(int64(n))
	if f.received%int64(f.batch) == 0 {
		select {
		case f.credits <- struct{}{}:
		default: // Some were late, but not lost.
		}
	}
}

// compare reads a datagram and compares it with what was sent.
func (f *flow) compare(b *testing.B) {
	f.read(b)
	if !bytes.Equal(f.datagram[sequenceSize:len(f.want)], f.want[sequenceSize:]) {
		b.Fatalf("datagram %d: not what was sent", f.last)
	}
}

// measure reports how many datagrams a second go from one socket to the other;
// an operation is one. It owns the sockets.
func measureFlow(b *testing.B, from, to net.Conn, size int) {
	f := startFlow(b, from, to, size)
	for start := time.Now(); time.Since(start) < datagramWarmUp; {
		f.compare(b)
	}
	first, received, before := f.last, f.received, processorTime(b)
	for b.Loop() {
		f.read(b)
	}
	spent, sent := processorTime(b)-before, f.last-first
	received = f.received - received
	for range batches * f.batch { // what may be under way
		f.compare(b)
	}
	b.ReportMetric(float64(received)/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(float64(spent.Nanoseconds())/float64(received), "cpu-ns/packet")
	b.ReportMetric(100*float64(sent-received)/float64(sent), "loss-%")
}
