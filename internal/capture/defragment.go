package capture

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/v6stack/v6stack/defrag"
)

// Options are those of [Defragment]. The zero value is valid.
type Options struct {
	// Zoning says which packets may complete each other.
	Zoning Zoning
	// Zone is the configuration of each zone.
	Zone defrag.ZoneConfig
	// Errors gets a capture, of the format of IN, of the ICMPv6 errors that
	// the destinations would have sent; nil gets none. They are not limited in
	// rate (RFC 4443 section 2.4 (f)).
	Errors io.Writer
	// OnLoss, unless nil, is told of each fragment dropped, when it is. The
	// Loss is borrowed for the call.
	OnLoss func(*Loss)
}

// Defragment copies the capture that in reads to out, with each fragment that
// completes an IPv6 datagram replaced by the datagram and every other fragment
// left out. What is held when the capture ends is dropped as
// [defrag.Flushed].
//
// The error is a [*Damage] where the capture makes no sense, or says what
// could not be written; Defragment also ends when ctx does. Everything read
// before has been written then, and the counts are of that.
func Defragment(ctx context.Context, in *Reader, out io.Writer, opts Options) (Counts, error) {
	d := &defragmenter{in: in, out: bufio.NewWriterSize(out, outputBuffer), opts: opts}
	engine, err := defrag.New(defrag.Config{
		Clock: &d.clock,
		Zone:  opts.Zone,
		Total: max(defrag.DefaultTotal, opts.Zone.High),
	})
	if err != nil {
		return d.counts, err
	}
	d.engine = engine
	if opts.Errors != nil {
		d.errors = bufio.NewWriter(opts.Errors)
		d.journal = in.format.journal()
		_, _ = d.errors.Write(d.journal.appendHeader(nil)) // a writer's errors stay
	}
	in.in.source.beforeRead = func() { _ = d.flush() } // … until the end
	err = d.run(ctx)
	engine.Close()
	in.in.source.beforeRead = nil
	if flushErr := d.flush(); err == nil {
		err = flushErr
	}
	return d.counts, err
}

// outputBuffer is how much is written to OUT at once, in octets, at most
// unless a record is longer.
const outputBuffer = 256 << 10

// A defragmenter is one run of [Defragment]. All of it happens on one
// goroutine: the clock's timers fire where it is moved.
type defragmenter struct {
	in       *Reader
	out      *bufio.Writer
	errors   *bufio.Writer // nil if nobody wants them
	journal  journal
	opts     Options
	clock    clock
	engine   *defrag.Engine
	counts   Counts
	datagram defrag.Datagram
	frame    []byte // scratch
	record   []byte // scratch
}

var _ defrag.Handler = (*defragmenter)(nil)

// run handles record after record.
func (d *defragmenter) run(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return fmt.Errorf("ended after packet %d: %w", d.counts.Packets, context.Cause(ctx))
		}
		rec, err := d.in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := d.handle(rec); err != nil {
			return fmt.Errorf("write OUT: %w", err)
		}
	}
}

// flush writes out what is ready.
func (d *defragmenter) flush() error {
	if err := d.out.Flush(); err != nil {
		return fmt.Errorf("write OUT: %w", err)
	}
	if d.errors == nil {
		return nil
	}
	if err := d.errors.Flush(); err != nil {
		return fmt.Errorf("write ICMPv6 errors: %w", err)
	}
	return nil
}

// handle copies or gathers one record.
func (d *defragmenter) handle(rec *Record) error {
	if rec.Number == 0 {
		return d.write(rec.Raw)
	}
	d.counts.Packets++
	if rec.Timed {
		d.clock.moveTo(rec.Time)
	}
	if !rec.LinkType.Supported() {
		d.counts.Foreign++
	}
	l := parseLink(rec.LinkType, rec.Data)
	if !l.ipv6 {
		return d.writePacket(rec.Raw)
	}
	return d.gather(rec, &l)
}

// gather feeds an IPv6 packet to the engine and writes what comes out.
func (d *defragmenter) gather(rec *Record, l *link) error {
	packet := buffer.MakeWithView(buffer.NewViewWithData(rec.Data[l.length:]))
	defer packet.Release()
	meta := defrag.Metadata{
		Zone:    d.opts.Zoning.zone(rec, l),
		Link:    linkNumber(rec, l),
		Tag:     rec.Number,
		Handler: d,
	}
	switch d.engine.Gather(&packet, &meta, &d.datagram) {
	case defrag.Passed:
		return d.writePacket(rec.Raw)
	case defrag.Atomic:
		d.counts.Atomic++
	case defrag.Reassembled:
		d.counts.Datagrams++
		d.counts.Joined += uint64(len(d.datagram.Boundaries))
	default: // held, or dropped and told
		return nil
	}
	d.frame = append(d.frame[:0], rec.Data[:l.length]...)
	packet.Apply(func(v *buffer.View) { d.frame = append(d.frame, v.AsSlice()...) })
	d.frame = appendFrameCheck(d.frame, rec)
	d.record = d.in.format.replace(d.record[:0], rec, d.frame)
	return d.writePacket(d.record)
}

// appendFrameCheck appends to frame the frame check sequence that readers
// expect where rec had one.
func appendFrameCheck(frame []byte, rec *Record) []byte {
	if rec.LinkType != Ethernet || rec.FrameCheck != crc32.Size {
		return frame
	}
	return binary.LittleEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame))
}

// writePacket writes the record of a packet.
func (d *defragmenter) writePacket(raw []byte) error {
	d.counts.Written++
	return d.write(raw)
}

// write writes a record.
func (d *defragmenter) write(raw []byte) error {
	_, err := d.out.Write(raw)
	return err
}

// HandleDrop counts, lists and answers a dropped fragment.
func (d *defragmenter) HandleDrop(drop *defrag.Drop) {
	d.counts.Dropped[drop.Verdict]++
	var packet []byte
	if drop.Packet != nil {
		packet = drop.Packet.Flatten()
	}
	loss := Loss{Packet: drop.Metadata.Tag, Reason: drop.Verdict}
	loss.describe(packet)
	if reply, ok := answer(drop.Error, packet); ok {
		loss.Error = drop.Error
		d.counts.Errors++
		d.answer(&loss, reply)
	}
	if d.opts.OnLoss != nil {
		d.opts.OnLoss(&loss)
	}
}

// answer writes an ICMPv6 error.
func (d *defragmenter) answer(loss *Loss, reply []byte) {
	if d.errors == nil {
		return
	}
	comment := fmt.Sprintf("packet %d: %v", loss.Packet, loss.Reason)
	d.record = d.journal.appendPacket(d.record[:0], d.clock.wall(), comment, reply)
	_, _ = d.errors.Write(d.record) // flush tells
}
