package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
)

// inputBuffer is how much is read from the file at once, in octets.
const inputBuffer = 256 << 10

// growth is the most memory, in octets, that is claimed for octets that have
// not arrived yet.
const growth = 64 << 10

// An input is the octets of a capture file, and where in it we are.
type input struct {
	buffered *bufio.Reader
	source   source
	offset   int64
}

// newInput returns an input that reads from r.
func newInput(r io.Reader) *input {
	in := &input{source: source{r: r}}
	in.buffered = bufio.NewReaderSize(&in.source, inputBuffer)
	return in
}

// A source calls beforeRead, unless nil, ahead of each read, which may block:
// the time to write out what is ready.
type source struct {
	r          io.Reader
	beforeRead func()
}

func (s *source) Read(p []byte) (int, error) {
	if s.beforeRead != nil {
		s.beforeRead()
	}
	return s.r.Read(p)
}

// append reads n octets more and returns dst with them at its end. The error
// is io.EOF if there was none, and says how many are missing if there were
// fewer than n. Memory grows with what arrives, not with n.
func (in *input) append(dst []byte, n int) ([]byte, error) {
	had := len(dst)
	for want := n; want > 0; {
		step := min(want, growth)
		dst = slices.Grow(dst, step)
		got, err := io.ReadFull(in.buffered, dst[len(dst):len(dst)+step])
		dst = dst[:len(dst)+got]
		in.offset += int64(got)
		want -= got
		if err != nil {
			return dst, shortfall(err, len(dst)-had, n)
		}
	}
	return dst, nil
}

// shortfall returns what to report when err ended a read of want octets after
// got of them.
func shortfall(err error, got, want int) error {
	switch {
	case err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("read: %w", err)
	case got == 0:
		return io.EOF
	}
	return fmt.Errorf("the file ends after %d of %d octets: %w", got, want, io.ErrUnexpectedEOF)
}

// ended returns err, with io.EOF turned into an error: the file may end
// between records only.
func ended(err error, want int) error {
	if err == io.EOF {
		return fmt.Errorf("the file ends before %d more octets: %w", want, io.ErrUnexpectedEOF)
	}
	return err
}
