// Package size reads and writes numbers of octets as configurations have them:
// a plain number, or one with KiB, MiB or GiB behind it.
package size

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

var units = []struct {
	name   string
	octets uint64
}{
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
}

var errNoSize = errors.New("want octets, or a number with KiB, MiB or GiB, below 2^64")

// Parse returns the number of octets that text stands for. Its error says what
// is allowed, but not what text is.
func Parse(text string) (uint64, error) {
	digits, unit := text, uint64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			digits, unit = strings.TrimSpace(rest), u.octets
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > math.MaxUint64/unit {
		return 0, errNoSize
	}
	return n * unit, nil
}

// Format returns a number of octets in the largest unit that divides it.
func Format(octets uint64) string {
	for _, u := range units {
		if octets != 0 && octets%u.octets == 0 {
			return strconv.FormatUint(octets/u.octets, 10) + u.name
		}
	}
	return strconv.FormatUint(octets, 10)
}
