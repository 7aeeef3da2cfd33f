package offload

import (
	"bytes"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// maxHeaders is the longest headers, in octets, of packets that are coupled:
	// room for the longest of IPv4 and TCP, or for IPv6 with some extensions.
	maxHeaders = 192
	// maxTrain is the longest packet, in octets, that IPv4 and IPv6 both know.
	maxTrain = 65535
)

// A Train is consecutive packets of one TCP flow that go as one large segment,
// from which [Job.Split] makes the same packets again. The zero value is ready
// to use, and may be used again and again. It is not safe for concurrent use.
type Train struct {
	headers [maxHeaders]byte // of the first packet, then of the large segment
	next    [maxHeaders]byte // of the packet looked at
	first   carriage
	end     int             // octets of the large segment
	closing header.TCPFlags // those of the last packet that end a train
}

// Couple reports how many packets from the front of pkts, which are borrowed, go
// as one; it is 0 only if there are none. If it is more than 1, [Train.Headers]
// and [Train.Job] are about the large segment, and the payload of each packet
// begins behind as many octets as Headers has.
//
// The headers of the packets differ only as those of segments do: sequence
// numbers without a gap, IPv4 identifications that count up, CWR in the first
// only, PSH and FIN in the last only. All have a payload, of one length but for
// the last, which may be shorter. None is a fragment, has SYN, RST or URG set, or
// is to be cut itself. Checksums are right, or left to be finished. The large
// segment has at most 65,535 octets.
func (t *Train) Couple(pkts []*gstack.PacketBuffer) int {
	if len(pkts) < 2 {
		return len(pkts)
	}
	n := t.couple(pkts)
	if n > 1 {
		t.finish()
	}
	return n
}

// Headers returns the headers of the large segment, valid until the next call of
// Couple. The TCP checksum is left to be finished.
func (t *Train) Headers() []byte { return t.headers[:t.first.headers] }

// Job returns what is left undone in the large segment.
func (t *Train) Job() Job {
	return Job{
		Kind:     TCP,
		MSS:      t.first.payload(),
		Checksum: true,
		Start:    t.first.transport,
		Offset:   tcpChecksumOffset,
	}
}

// couple is Couple for two packets or more, without the headers. Checksums cost
// most, so they are looked at last.
func (t *Train) couple(pkts []*gstack.PacketBuffer) int {
	first, ok := board(pkts[0], &t.headers)
	if !ok || first.flags&closing != 0 {
		return 1
	}
	t.first, t.end, t.closing = first, first.end, 0
	for n := 1; n < len(pkts); n++ {
		next, ok := board(pkts[n], &t.next)
		if !ok || !t.follows(&next, n) || n == 1 && !first.valid(pkts[0]) || !next.valid(pkts[n]) {
			return n
		}
		t.end += next.payload()
		t.closing = next.flags & closing
		if t.closing != 0 || next.payload() < first.payload() {
			return n + 1
		}
	}
	return len(pkts)
}

// follows reports whether next, whose headers are in t.next, is what comes after
// n packets of the train. It makes t.next equal to t.headers where they may
// differ.
func (t *Train) follows(next *carriage, n int) bool {
	if next.headers != t.first.headers || next.transport != t.first.transport ||
		next.payload() > t.first.payload() || t.end+next.payload() > maxTrain {
		return false
	}
	ip, last := t.headers[:t.first.headers], t.next[:t.first.headers]
	if t.first.version == 4 {
		if header.IPv4(last).ID() != header.IPv4(ip).ID()+uint16(n) {
			return false
		}
		copy(last[2:6], ip[2:6])     // length, identification
		copy(last[10:12], ip[10:12]) // checksum
	} else {
		copy(last[4:6], ip[4:6]) // length
	}
	tcp, lastTCP := header.TCP(ip[t.first.transport:]), header.TCP(last[t.first.transport:])
	if lastTCP.SequenceNumber() != tcp.SequenceNumber()+uint32(t.end-t.first.headers) ||
		next.flags&^closing != t.first.flags&^header.TCPFlagCwr {
		return false
	}
	lastTCP.SetSequenceNumber(tcp.SequenceNumber())
	lastTCP.SetFlags(uint8(tcp.Flags()))
	lastTCP.SetChecksum(tcp.Checksum())
	return bytes.Equal(ip, last)
}

// finish makes the first packet's headers those of the large segment.
func (t *Train) finish() {
	octets := t.Headers()
	if t.first.version == 4 {
		ip := header.IPv4(octets)
		ip.SetTotalLength(uint16(t.end))
		ip.SetChecksum(0)
		ip.SetChecksum(^ip.CalculateChecksum())
	} else {
		header.IPv6(octets).SetPayloadLength(uint16(t.end - header.IPv6MinimumSize))
	}
	tcp := header.TCP(octets[t.first.transport:])
	tcp.SetFlags(uint8(t.first.flags | t.closing))
	tcp.SetChecksum(t.first.pseudo(t.end - t.first.transport))
}
