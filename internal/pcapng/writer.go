package pcapng

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// queueOctets bounds the octets that wait to be written, with what each packet
// costs besides.
const (
	queueOctets    = 8 << 20
	packetOverhead = 128
)

// closePatience is how long Close waits for a file that takes nothing, such as
// a pipe that nobody reads.
const closePatience = 2 * time.Second

// A Direction says which way a packet went.
type Direction uint8

// The directions, as seen from the stack.
const (
	Inbound  = Direction(pcapgo.NgEpbFlagDirectionInbound)
	Outbound = Direction(pcapgo.NgEpbFlagDirectionOutbound)
)

// A Writer writes a pcapng file. Make one with [Create]; it must be closed.
// All methods may be called from many goroutines at once.
type Writer struct {
	file *os.File
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	wake    sync.Cond // of mu: queue, closing or failed changed
	queue   []record  // guarded by mu
	octets  int       // in queue and under way; guarded by mu
	dropped []uint64  // by interface; guarded by mu
	closing bool      // guarded by mu
	err     error     // first failure, after which all is dropped; guarded by mu

	closeOnce sync.Once
	closeErr  error // written once, in closeOnce
}

// A record is one packet to be written.
type record struct {
	time      time.Time
	iface     int
	direction Direction
	data      []byte
}

// Create creates or truncates the file at path. Each name becomes an interface
// of link type raw IP, numbered from 0; there is at least one. A goroutine
// writes until Close.
func Create(path string, names ...string) (*Writer, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	ng, err := begin(file, names)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", path, err), file.Close())
	}
	w := &Writer{
		file:    file,
		done:    make(chan struct{}),
		dropped: make([]uint64, len(names)),
	}
	w.wake.L = &w.mu
	go w.run(ng)
	return w, nil
}

// begin writes the section header and the interfaces.
func begin(file *os.File, names []string) (*pcapgo.NgWriter, error) {
	options := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "v6stack"}}
	ng, err := pcapgo.NewNgWriterInterface(file, ngInterface(names[0]), options)
	if err != nil {
		return nil, err
	}
	for _, name := range names[1:] {
		if _, err := ng.AddInterface(ngInterface(name)); err != nil {
			return nil, err
		}
	}
	return ng, ng.Flush()
}

// ngInterface describes an interface whose time stamps are nanoseconds.
func ngInterface(name string) pcapgo.NgInterface {
	return pcapgo.NgInterface{Name: name, LinkType: layers.LinkTypeRaw, TimestampResolution: 9}
}

// WritePacket has data written as a packet of that interface, passing now.
// Data is copied. The packet is dropped, and counted, if the queue is full, a
// write has failed, or the writer is closed.
func (w *Writer) WritePacket(iface int, direction Direction, data []byte) {
	size := len(data) + packetOverhead
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing || w.err != nil || w.octets+size > queueOctets {
		w.dropped[iface]++
		return
	}
	w.octets += size
	w.queue = append(w.queue, record{time.Now(), iface, direction, append([]byte(nil), data...)})
	w.wake.Signal()
}

// Dropped returns how many packets of an interface were dropped.
func (w *Writer) Dropped(iface int) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped[iface]
}

// Close writes what is queued and closes the file, which is complete then. A
// file that takes too long, as a pipe that nobody reads, is given up after two
// seconds. Each call returns what the
// first one did: the first error of writing.
func (w *Writer) Close() error {
	w.closeOnce.Do(func() { w.closeErr = w.shut() })
	return w.closeErr
}

func (w *Writer) shut() error {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.wake.Signal()
	var late error
	select {
	case <-w.done:
	case <-time.After(closePatience):
		late = os.ErrDeadlineExceeded
	}
	closeErr := w.file.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := errors.Join(w.err, late, closeErr); err != nil {
		return fmt.Errorf("write %s: %w", w.file.Name(), err)
	}
	return nil
}

// run writes what is queued until Close and then the interfaces' statistics.
func (w *Writer) run(ng *pcapgo.NgWriter) {
	defer close(w.done)
	for {
		batch, closing := w.take()
		if err := writeBatch(ng, batch); err != nil {
			w.fail(err)
		}
		if closing {
			break
		}
	}
	w.mu.Lock()
	dropped, failed := slices.Clone(w.dropped), w.err != nil
	w.mu.Unlock()
	if failed {
		return
	}
	if err := writeStatistics(ng, dropped); err != nil {
		w.fail(err)
	}
}

// take waits for packets and takes all there are. After Close there may be
// none, and closing is true.
func (w *Writer) take() (batch []record, closing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.octets = 0 // the last batch is written
	for _, r := range w.queue {
		w.octets += len(r.data) + packetOverhead
	}
	for len(w.queue) == 0 && !w.closing {
		w.wake.Wait()
	}
	batch, w.queue = w.queue, nil
	return batch, w.closing
}

// fail keeps the first error.
func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

// writeBatch writes packets and flushes, so that the file can be followed.
func writeBatch(ng *pcapgo.NgWriter, batch []record) error {
	for _, r := range batch {
		info := gopacket.CaptureInfo{
			Timestamp:      r.time,
			CaptureLength:  len(r.data),
			Length:         len(r.data),
			InterfaceIndex: r.iface,
		}
		flags := pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlag(r.direction)}
		if err := ng.WritePacketWithOptions(info, r.data, pcapgo.NgPacketOptions{Flags: &flags}); err != nil {
			return err
		}
	}
	return ng.Flush()
}

// writeStatistics ends the file with what each interface lost.
func writeStatistics(ng *pcapgo.NgWriter, dropped []uint64) error {
	for iface, n := range dropped {
		err := ng.WriteInterfaceStats(iface, pcapgo.NgInterfaceStatistics{
			LastUpdate:      time.Now(),
			PacketsReceived: pcapgo.NgNoValue64,
			PacketsDropped:  n,
		})
		if err != nil {
			return err
		}
	}
	return ng.Flush()
}
