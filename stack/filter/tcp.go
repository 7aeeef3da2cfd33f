package filter

// TCP control bits (RFC 9293 section 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	_
	flagACK
)

// A segment is what a TCP segment means to a flow.
type segment uint8

const (
	nonsense  segment = iota // no TCP sends it
	synchrony                // SYN
	answer                   // SYN and ACK
	plain                    // ACK, no SYN, FIN or RST
	finish                   // FIN and ACK
	reset                    // RST
)

func segmentOf(flags uint8) segment {
	switch flags & (flagSYN | flagACK | flagFIN | flagRST) {
	case flagSYN:
		return synchrony
	case flagSYN | flagACK:
		return answer
	case flagACK:
		return plain
	case flagFIN | flagACK:
		return finish
	case flagRST, flagRST | flagACK:
		return reset
	}
	return nonsense
}

// opens reports whether a flow may begin with the segment. With plain and
// finish it is one whose start was not seen.
func (s segment) opens() bool {
	return s == synchrony || s == plain || s == finish
}

// first returns the state of a flow that the segment opens.
func (s segment) first() State {
	switch s {
	case synchrony:
		return SynSent
	case finish:
		return FinWait
	}
	return Established
}

// A connection is the state of a TCP flow. Sequence numbers are not known, so
// an acknowledgement counts for whatever waits for one.
//
//	SynSent ─SYN(,ACK)▷─ SynReceived ─◁ACK─ Established ─FIN─ FinWait
//	FinWait ─ACK─ CloseWait ─FIN─ LastAck ─ACK─ TimeWait; any ─RST─ Closed
type connection struct {
	state State
	// closer is who sent the first FIN: true for the side that answers.
	closer bool
}

// next returns the connection behind a segment, which is a reply or not.
func (c connection) next(s segment, reply bool) connection {
	switch s {
	case synchrony, answer:
		switch {
		case c.state == SynSent && reply:
			c.state = SynReceived
		case c.state == SynReceived && !reply && s == answer:
			c.state = Established // Both opened at once.
		}
	case plain:
		switch {
		case c.state == SynReceived && !reply:
			c.state = Established
		case c.state == FinWait && reply != c.closer:
			c.state = CloseWait
		case c.state == LastAck && reply == c.closer:
			c.state = TimeWait
		}
	case finish:
		switch c.state {
		case SynSent, SynReceived, Established:
			c.state, c.closer = FinWait, reply
		case FinWait, CloseWait:
			if reply != c.closer {
				c.state = LastAck
			}
		}
	case reset:
		c.state = Closed
	}
	return c
}

// restarts reports whether a SYN asks for a new connection, which the rules
// are asked about: one after the end of this one, or one that the side that
// answers opens.
func (c connection) restarts(s segment, reply bool) bool {
	return s == synchrony && (c.ended() || reply && c.state != SynSent)
}

// ended reports whether a new connection may take the place of this one.
func (c connection) ended() bool { return c.state == TimeWait || c.state == Closed }
