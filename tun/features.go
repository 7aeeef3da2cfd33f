package tun

import (
	"fmt"
	"strings"
)

// Features says what a device and the system agreed on. The zero value is a
// device without offloads.
type Features struct {
	// Queues is the number of queues.
	Queues int
	// Checksum says that checksums of TCP may be left to the other side, and
	// that those of what comes in are verified where nobody vouches for them.
	Checksum bool
	// TSO4 and TSO6 say that large TCP segments over IPv4 and IPv6 pass whole,
	// in both directions; ECN, that they may carry congestion signals.
	TSO4, TSO6, ECN bool
	// USO says that large UDP datagrams come in whole, to be cut here.
	USO bool
}

// String returns the features in one line, such as "2 queues, checksum, tso6".
func (f Features) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d queue", f.Queues)
	if f.Queues != 1 {
		b.WriteByte('s')
	}
	for _, feature := range []struct {
		on   bool
		name string
	}{{f.Checksum, "checksum"}, {f.TSO4, "tso4"}, {f.TSO6, "tso6"}, {f.ECN, "ecn"}, {f.USO, "uso"}} {
		if feature.on {
			b.WriteString(", " + feature.name)
		}
	}
	return b.String()
}
