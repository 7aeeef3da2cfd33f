package filter

import (
	"fmt"
	"time"
)

// A State is how far a flow has come.
type State uint8

const (
	// SynSent: TCP, a SYN was seen.
	SynSent State = iota
	// SynReceived: TCP, the SYN was answered by another.
	SynReceived
	// Established: TCP, data may flow. Without a reply, a connection whose
	// start was not seen.
	Established
	// FinWait: TCP, one side has closed.
	FinWait
	// CloseWait: TCP, the other side has acknowledged that.
	CloseWait
	// LastAck: TCP, both sides have closed.
	LastAck
	// TimeWait: TCP, the last FIN was acknowledged.
	TimeWait
	// Closed: TCP, reset.
	Closed
	// Datagrams: UDP.
	Datagrams
	// Stream: UDP, both ways for more than two seconds.
	Stream
	// Echo: an ICMPv6 echo.
	Echo
	// Other: another protocol.
	Other

	numStates
)

// states tell names and timeouts: those of Linux's
// /proc/sys/net/netfilter/nf_conntrack_*_timeout_*.
var states = [numStates]struct {
	name    string
	timeout time.Duration
}{
	SynSent:     {"syn-sent", 120 * time.Second},
	SynReceived: {"syn-received", 60 * time.Second},
	Established: {"established", 5 * 24 * time.Hour},
	FinWait:     {"fin-wait", 120 * time.Second},
	CloseWait:   {"close-wait", 60 * time.Second},
	LastAck:     {"last-ack", 30 * time.Second},
	TimeWait:    {"time-wait", 120 * time.Second},
	Closed:      {"closed", 10 * time.Second},
	Datagrams:   {"datagrams", 30 * time.Second},
	Stream:      {"stream", 120 * time.Second},
	Echo:        {"echo", 30 * time.Second},
	Other:       {"other", 600 * time.Second},
}

const (
	// unacknowledged is the timeout of a connection that was picked up and has
	// not been answered, nf_conntrack_tcp_timeout_unacknowledged.
	unacknowledged = 300 * time.Second
	// streamAfter is how old a UDP flow is before it counts as a stream, as in
	// Linux.
	streamAfter = 2 * time.Second
)

// String returns the state's name as tables show it.
func (s State) String() string {
	if s < numStates {
		return states[s].name
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Timeout returns how long after its last packet a flow in this state ends;
// replied tells whether it has been answered.
func (s State) Timeout(replied bool) time.Duration {
	switch {
	case s >= numStates:
		return 0
	case s == Established && !replied:
		return unacknowledged
	}
	return states[s].timeout
}
