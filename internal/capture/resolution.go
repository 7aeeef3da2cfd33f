package capture

import (
	"math"
	"math/bits"
)

// A resolution is the unit of an interface's time stamps as option
// if_tsresol tells it: a negative power of 10 or, with the highest bit set,
// of 2.
type resolution uint8

// microseconds is the resolution of an interface that tells none.
const microseconds resolution = 6

// nanoseconds converts a time stamp, in units of r after offset seconds, to
// nanoseconds since 1970. Times out of range end up at its ends.
func (r resolution) nanoseconds(stamp uint64, offset int64) int64 {
	return addSeconds(r.scale(stamp), offset)
}

// scale converts stamp to nanoseconds, at most the largest int64.
func (r resolution) scale(stamp uint64) int64 {
	high, low := bits.Mul64(stamp, 1e9)
	if r&0x80 != 0 {
		shift := uint(r & 0x7f)
		if shift >= 64 {
			high, low, shift = 0, high, shift-64
		}
		low, high = low>>shift|high<<(64-shift), high>>shift
		return clamp(high, low)
	}
	for power := r; power > 0; power-- {
		var rest uint64
		high, rest = high/10, high%10
		low, _ = bits.Div64(rest, low, 10)
	}
	return clamp(high, low)
}

// clamp returns the number of the two words, at most the largest int64.
func clamp(high, low uint64) int64 {
	if high != 0 || low > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(low)
}

// addSeconds adds seconds to nanoseconds that are not negative.
func addSeconds(nanoseconds, seconds int64) int64 {
	switch {
	case seconds > (math.MaxInt64-nanoseconds)/1e9:
		return math.MaxInt64
	case seconds < math.MinInt64/int64(1e9):
		return math.MinInt64
	}
	return nanoseconds + seconds*1e9
}
