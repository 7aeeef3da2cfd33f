package offload

import (
	"fmt"
	"math"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Kind is what a packet is cut into.
type Kind int

// None leaves a packet whole; its checksum may be missing.
const (
	None Kind = iota
	TCP       // segments
	UDP       // datagrams
)

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case None:
		return "none"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// A Job is what was left undone in a packet: cutting it into segments, finishing
// its checksum, or both. The zero Job is nothing. It is a value, safe for
// concurrent use; what its methods are given is not.
type Job struct {
	Kind Kind
	// MSS is the payload of a segment in octets, at least 1 unless Kind is None.
	// Packets with no more payload than that are not cut.
	MSS int
	// Checksum says that the checksum field holds only the folded sum of the
	// pseudo-header, not complemented.
	Checksum bool
	// Start is where the transport header begins, in octets of the packet.
	Start int
	// Offset is where in the transport header the checksum field is. It matters
	// if Checksum is set.
	Offset int
}

// Offsets of the checksum field in the transport header.
const (
	tcpChecksumOffset = header.TCPChecksumOffset
	udpChecksumOffset = 6
)

// JobOf returns the job that gso describes for packet, which is borrowed.
// Types that no link is asked to do are nothing.
func JobOf(gso gstack.GSO, packet *buffer.Buffer) Job {
	if !forLink(gso) {
		return Job{}
	}
	o := octetsOf(packet)
	return jobOf(gso, &o)
}

// JobOfPacket is JobOf for pkt and its GSOOptions.
func JobOfPacket(pkt *gstack.PacketBuffer) Job {
	if !forLink(pkt.GSOOptions) {
		return Job{}
	}
	o := octetsOfPacket(pkt)
	return jobOf(pkt.GSOOptions, &o)
}

// forLink reports whether gso leaves anything to the link.
func forLink(gso gstack.GSO) bool {
	return gso.Type == gstack.GSOTCPv4 || gso.Type == gstack.GSOTCPv6
}

// jobOf finds the transport header itself: gVisor's L3HdrLen is that of the
// fixed header even where it puts an extension header behind.
func jobOf(gso gstack.GSO, o *octets) Job {
	j := Job{
		Kind:     TCP,
		MSS:      int(gso.MSS),
		Checksum: gso.NeedsCsum,
		Start:    int(gso.L3HdrLen),
		Offset:   int(gso.CsumOffset),
	}
	if j.MSS == 0 {
		j.Kind = None
	}
	if l, ok := o.layout(); ok {
		j.Start = l.transport
	}
	return j
}

// GSO returns the GSOOptions that describe the job in a packet of protocol, IPv4
// or IPv6. They can do so for TCP only: for anything else they are zero. A TCP
// packet of which only the checksum is left gets the largest MSS there is.
func (j Job) GSO(protocol tcpip.NetworkProtocolNumber) gstack.GSO {
	mss := j.MSS
	switch {
	case j.Kind == TCP:
	case j.Kind == None && j.Checksum && j.Offset == tcpChecksumOffset:
		mss = math.MaxUint16
	default:
		return gstack.GSO{}
	}
	gso := gstack.GSO{
		Type:       gstack.GSOTCPv6,
		NeedsCsum:  j.Checksum,
		CsumOffset: tcpChecksumOffset,
		MSS:        uint16(min(mss, math.MaxUint16)), // No payload is longer.
		L3HdrLen:   uint16(j.Start),
	}
	if protocol == header.IPv4ProtocolNumber {
		gso.Type = gstack.GSOTCPv4
	}
	return gso
}
