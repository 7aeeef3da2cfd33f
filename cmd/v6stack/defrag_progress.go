package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progressEvery is how often progress is shown.
const progressEvery = 200 * time.Millisecond

// A progress shows, in one line on a terminal, how far a file has been read.
// It is the reader of that file. It is for one goroutine at a time.
type progress struct {
	in    io.Reader
	total int64 // octets to read; 0 if not known
	read  int64

	terminal io.Writer // nil to show nothing
	now      func() time.Time
	last     time.Time
	visible  bool
}

// newProgress returns a reader of in that shows progress on w if that is a
// terminal.
func newProgress(in io.Reader, w io.Writer) *progress {
	p := &progress{in: in, now: time.Now}
	if info := regular(in); info != nil {
		p.total = info.Size()
	}
	if file, ok := w.(*os.File); ok && characterDevice(file) {
		p.terminal = w
	}
	p.last = p.now()
	return p
}

// characterDevice reports whether file is a terminal: a character device
// other than /dev/null.
func characterDevice(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// Read reads on and, from time to time, shows how far it came.
func (p *progress) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	p.read += int64(n)
	if p.terminal != nil && p.now().Sub(p.last) >= progressEvery {
		p.show()
	}
	return n, err
}

// show writes the line anew.
func (p *progress) show() {
	p.last, p.visible = p.now(), true
	const mebi = 1 << 20
	if p.total == 0 {
		fmt.Fprintf(p.terminal, "\r\x1b[K%.1f MiB", float64(p.read)/mebi)
		return
	}
	fmt.Fprintf(p.terminal, "\r\x1b[K%.1f of %.1f MiB (%d %%)",
		float64(p.read)/mebi, float64(p.total)/mebi, p.read*100/p.total)
}

// clear removes the line.
func (p *progress) clear() {
	if p.visible {
		p.visible = false
		fmt.Fprint(p.terminal, "\r\x1b[K")
	}
}

// below returns a writer to w that clears the line first: w may be the same
// terminal.
func (p *progress) below(w io.Writer) io.Writer { return belowProgress{p, w} }

type belowProgress struct {
	progress *progress
	w        io.Writer
}

func (b belowProgress) Write(octets []byte) (int, error) {
	b.progress.clear()
	return b.w.Write(octets)
}
