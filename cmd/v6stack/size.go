package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A sizeFlag is a number of octets on the command line: a plain number, or one
// with KiB, MiB or GiB behind it.
type sizeFlag uint64

var sizeUnits = []struct {
	name   string
	octets uint64
}{
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
}

// Set parses text; it implements pflag.Value.
func (s *sizeFlag) Set(text string) error {
	digits, unit := text, uint64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			digits, unit = strings.TrimSpace(rest), u.octets
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > math.MaxUint64/unit {
		return fmt.Errorf("want octets, or a number with KiB, MiB or GiB, below 2^64")
	}
	*s = sizeFlag(n * unit)
	return nil
}

// String returns the size in the largest unit that divides it.
func (s *sizeFlag) String() string {
	n := uint64(*s)
	for _, u := range sizeUnits {
		if n != 0 && n%u.octets == 0 {
			return strconv.FormatUint(n/u.octets, 10) + u.name
		}
	}
	return strconv.FormatUint(n, 10)
}

// Type names the kind of value in the help text.
func (s *sizeFlag) Type() string { return "size" }
