package capture

import "fmt"

// A Damage says where a capture file stops making sense, or stops, and why.
// Everything before Offset was readable.
type Damage struct {
	// Packet is the number of the packet at fault, from 1. If Between is set,
	// it is that of the last packet before a damaged block that holds none.
	Packet  uint64
	Between bool
	// Offset of the damaged record, in octets from the start of the file.
	Offset int64
	// Err is the cause.
	Err error
}

// Error names the packet, the offset and the cause.
func (d *Damage) Error() string {
	if d.Between {
		return fmt.Sprintf("block after packet %d, at byte offset %d: %v", d.Packet, d.Offset, d.Err)
	}
	return fmt.Sprintf("packet %d, at byte offset %d: %v", d.Packet, d.Offset, d.Err)
}

// Unwrap returns the cause.
func (d *Damage) Unwrap() error { return d.Err }
