package main

import "github.com/v6stack/v6stack/internal/size"

// A sizeFlag is a number of octets on the command line: a plain number, or one
// with KiB, MiB or GiB behind it.
type sizeFlag uint64

// Set parses text; it implements pflag.Value.
func (s *sizeFlag) Set(text string) error {
	octets, err := size.Parse(text)
	if err == nil {
		*s = sizeFlag(octets)
	}
	return err
}

// String returns the size in the largest unit that divides it.
func (s *sizeFlag) String() string { return size.Format(uint64(*s)) }

// Type names the kind of value in the help text.
func (s *sizeFlag) Type() string { return "size" }
