package capture

import (
	"encoding/binary"
	"net/netip"

	"github.com/v6stack/v6stack/defrag"
)

// A Loss is a fragment that is not in OUT, nor in any datagram there.
type Loss struct {
	// Packet number in IN, from 1.
	Packet uint64
	// Reason why.
	Reason defrag.Verdict
	// Source and Destination of the packet; invalid if the packet was let go
	// before its datagram, as those of tiny payload are.
	Source, Destination netip.Addr
	// Fragment is what the Fragment header says, if Known.
	Fragment Fragment
	Known    bool
	// Error owed to the source for it; the zero value is none. Those that may
	// not be sent are none here.
	Error defrag.ICMPError
}

// A Fragment is what identifies a fragment.
type Fragment struct {
	Identification uint32
	// Offset and Length of the payload in octets.
	Offset, Length int
	// More fragments follow.
	More bool
}

// describe fills in what packet, as received, says.
func (l *Loss) describe(packet []byte) {
	if len(packet) < ipv6Header {
		return
	}
	l.Source, l.Destination = addresses(packet)
	next, offset := walk(packet, nextFragment)
	if next != nextFragment || offset+fragmentHeader > len(packet) {
		return
	}
	word := binary.BigEndian.Uint16(packet[offset+2:])
	l.Known = true
	l.Fragment = Fragment{
		Identification: binary.BigEndian.Uint32(packet[offset+4:]),
		Offset:         int(word &^ 7),
		Length:         len(packet) - offset - fragmentHeader,
		More:           word&1 != 0,
	}
}
