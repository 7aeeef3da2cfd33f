package defrag

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// A Zone separates reassembly state, as Linux's conntrack zone and hook do:
// fragments of different zones never meet, and each zone has its own budget,
// timeout and policy. Zone 0 is a zone like any other.
type Zone uint64

// Metadata is what a packet carries besides its bytes. It goes in with each
// fragment and comes out with the datagram, as [Datagram] says. The zero value
// is valid. It is a plain value; nothing in it is owned.
type Metadata struct {
	// Zone the packet belongs to.
	Zone Zone
	// Link the packet came from. It is part of a datagram's key when the
	// destination is multicast or link-local (RFC 4007 section 6), and what
	// [Engine.FlushLink] goes by.
	Link uint32
	// Arrival is when the packet arrived; 0 means now, by the engine's clock.
	Arrival tcpip.MonotonicTime
	// LinkHeader in front of the packet, if the link has one.
	LinkHeader LinkHeader
	// ChecksumVerified says that the link vouches for the transport checksum.
	// A datagram's is verified only if every fragment's was.
	ChecksumVerified bool
	// Tag is the caller's own, such as a packet number.
	Tag uint64
	// Handler is told when the packet is dropped; nil tells nobody.
	Handler Handler
}

// MaxLinkHeader is the longest link header, in octets, that a [LinkHeader]
// holds: Ethernet with two VLAN tags.
const MaxLinkHeader = 22

// A LinkHeader is a short link-layer header by value. The zero value is the
// empty header.
type LinkHeader struct {
	octets [MaxLinkHeader]byte
	length uint8
}

// MakeLinkHeader returns a copy of header; ok is false and the result empty
// if it is longer than [MaxLinkHeader].
func MakeLinkHeader(header []byte) (h LinkHeader, ok bool) {
	if len(header) > MaxLinkHeader {
		return LinkHeader{}, false
	}
	copy(h.octets[:], header)
	h.length = uint8(len(header))
	return h, true
}

// Len returns the header's length in octets.
func (h *LinkHeader) Len() int { return int(h.length) }

// AsSlice returns the header's octets, borrowed from h.
func (h *LinkHeader) AsSlice() []byte { return h.octets[:h.length] }

// A Handler is told of dropped packets. HandleDrop runs on the goroutine that
// gathers, flushes or closes, or on a timer's, with no lock of the engine
// held; it may call the engine.
type Handler interface {
	// HandleDrop is called once for each packet dropped. drop and its Packet
	// are borrowed for the call.
	HandleDrop(drop *Drop)
}

// A Drop describes one dropped packet.
type Drop struct {
	// Verdict is the reason.
	Verdict Verdict
	// Error is the ICMPv6 error that a node owes the packet's source, subject
	// to RFC 4443 section 2.4(e) and (f); the zero value means none.
	Error ICMPError
	// Metadata of the packet. For one that had been held it is that of its
	// queue, as [Datagram] says, but for Tag, and Link is that of the first
	// fragment to arrive; Arrival is 0.
	Metadata Metadata
	// Packet as it was received, less trailing padding. It is empty where the
	// payload had been copied and the packet let go.
	Packet *buffer.Buffer
}

// An ICMPError names an ICMPv6 error message. The zero value is no error.
type ICMPError struct {
	// Type and Code as in RFC 4443 section 3.
	Type, Code uint8
	// Pointer is that of a Parameter Problem, in octets from the start of the
	// IPv6 header; 0 otherwise.
	Pointer uint32
}

// A Datagram describes a reassembled datagram. Gather fills one in that the
// caller provides, and reuses the memory of Boundaries.
type Datagram struct {
	// Metadata of the datagram: zone and link of its key; Arrival and Tag of
	// the fragment that arrived last, LinkHeader and Handler of the first
	// fragment; ChecksumVerified if all fragments' were.
	Metadata Metadata
	// Identification of the fragments (RFC 8200 section 4.5).
	Identification uint32
	// FragmentHeader is that of the first fragment, as received.
	FragmentHeader [8]byte
	// UnfragmentableLength is the length in octets of the headers before the
	// Fragment header, the IPv6 header included.
	UnfragmentableLength int
	// Length of the payload behind those headers, in octets.
	Length int
	// LargestPacket is the size in octets of the largest fragment as a whole
	// packet, IPv6 header included.
	LargestPacket int
	// Boundaries holds the Fragment Offset of every fragment, in ascending
	// order and 8-octet units; the first is 0. An atomic fragment has one.
	Boundaries []uint16
}
