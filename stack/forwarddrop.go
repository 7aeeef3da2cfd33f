package stack

import "fmt"

// A DropReason says why the router dropped a packet. The zero value is a
// reason, too.
type DropReason uint8

const (
	// Malformed packets end before their header says, or are jumbograms, or no
	// TCP packets although their link said so. Nor is a packet for an address on
	// another link right if its checksum is wrong where gVisor would not look.
	Malformed DropReason = iota
	// BadSource addresses are never forwarded: unspecified, multicast,
	// loopback or link-local.
	BadSource
	// BadDestination addresses belong to nobody outside: unspecified or
	// loopback.
	BadDestination
	// SpoofedSource addresses are ours, or are reached through another link.
	SpoofedSource
	// NoRoute leads to the destination, or only back to the link that the
	// packet came from and where the destination would be a neighbor.
	NoRoute
	// Denied by a rule, or because no rule lets it cross between zones.
	Denied
	// Rejected by a rule, which is told to the source.
	Rejected
	// HopLimitExceeded packets have passed too many routers.
	HopLimitExceeded
	// PacketTooBig for the link they would go to.
	PacketTooBig
	// NotRefragmented datagrams do not fit their fragments' headers.
	NotRefragmented
	// NoBufferSpace on the link they went to.
	NoBufferSpace
	// LinkDown is the link they went to.
	LinkDown
	// SmallPathMTU messages to us name an MTU below 1,280, which no path has.
	SmallPathMTU

	// NumDropReasons is how many reasons there are.
	NumDropReasons
)

var dropReasons = [NumDropReasons]string{
	Malformed:        "malformed",
	BadSource:        "bad-source",
	BadDestination:   "bad-destination",
	SpoofedSource:    "spoofed-source",
	NoRoute:          "no-route",
	Denied:           "denied",
	Rejected:         "rejected",
	HopLimitExceeded: "hop-limit-exceeded",
	PacketTooBig:     "packet-too-big",
	NotRefragmented:  "not-refragmented",
	NoBufferSpace:    "no-buffer-space",
	LinkDown:         "link-down",
	SmallPathMTU:     "small-path-mtu",
}

// String returns the reason's name, in lower case with hyphens.
func (r DropReason) String() string {
	if r < NumDropReasons {
		return dropReasons[r]
	}
	return fmt.Sprintf("DropReason(%d)", uint8(r))
}
