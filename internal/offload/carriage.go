package offload

import (
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// closing are the flags after which no segment may be coupled.
	closing = header.TCPFlagFin | header.TCPFlagPsh
	// unfit are those that segments of a train do not have.
	unfit = header.TCPFlagSyn | header.TCPFlagRst | header.TCPFlagUrg
)

// A carriage is a packet that may be part of a train.
type carriage struct {
	layout
	headers int // octets before the payload
	flags   header.TCPFlags
	pending bool // The TCP checksum is left to be finished.
}

func (c *carriage) payload() int { return c.end - c.headers }

// board looks at pkt, borrowed, and copies its headers to dst. ok is false if it
// cannot be part of any train.
func board(pkt *gstack.PacketBuffer, dst *[maxHeaders]byte) (c carriage, ok bool) {
	o := octetsOfPacket(pkt)
	l, ok := o.layout()
	if !ok || l.end != pkt.Size() || l.protocol != protoTCP || l.fragmented || l.authenticated || l.detoured {
		return c, false
	}
	tcp := header.TCP(o.at(l.transport, header.TCPMinimumSize))
	if tcp == nil {
		return c, false
	}
	gso := pkt.GSOOptions
	c = carriage{
		layout:  l,
		headers: l.transport + int(tcp.DataOffset()),
		flags:   tcp.Flags(),
		pending: forLink(gso) && gso.NeedsCsum,
	}
	switch {
	case tcp.DataOffset() < header.TCPMinimumSize || c.headers > maxHeaders || c.payload() < 1:
		return c, false
	case c.flags&unfit != 0 || c.flags&header.TCPFlagAck == 0:
		return c, false
	case forLink(gso) && gso.MSS != 0 && c.payload() > int(gso.MSS):
		return c, false
	}
	o.copy(dst[:c.headers], 0)
	return c, true
}

// valid reports whether the checksums of pkt, borrowed, are right, as far as they
// are finished.
func (c *carriage) valid(pkt *gstack.PacketBuffer) bool {
	o := octetsOfPacket(pkt)
	return o.headerValid(&c.layout) && (c.pending || o.transportValid(&c.layout))
}
