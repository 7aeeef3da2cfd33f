package capture

import "time"

// Clock is clock, for tests.
type Clock = clock

// MoveTo is moveTo, for tests.
func (c *clock) MoveTo(wall int64) { c.moveTo(wall) }

// Timers returns the number of timers that run.
func (c *clock) Timers() int { return len(c.timers) }

// Elapsed returns the time since the first move.
func (c *clock) Elapsed() time.Duration { return c.now }

// Nanoseconds converts a time stamp as an interface of that if_tsresol and
// if_tsoffset means it.
func Nanoseconds(tsresol uint8, stamp uint64, offset int64) int64 {
	return resolution(tsresol).nanoseconds(stamp, offset)
}

// Answer is answer, for tests.
var Answer = answer

// MaxRecord is maxRecord, for tests.
const MaxRecord = maxRecord

// Buffers is what is read and written at once.
const Buffers = inputBuffer + outputBuffer
