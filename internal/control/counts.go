package control

import (
	"iter"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/stack"
)

// ZoneName returns the name under which a zone is shown: the default zone has
// one, too.
func ZoneName(name string) string {
	if name == "" {
		return stack.DefaultZone
	}
	return name
}

// Received returns how many fragments were received: those that met their
// final verdict and those still held. While packets flow it may be a few too
// high or too low, so that one call may return less than the one before.
func Received(counts *defrag.Counts) uint64 {
	n := counts.Fragments
	for verdict, packets := range counts.Packets {
		if defrag.Verdict(verdict) != defrag.Passed {
			n += packets
		}
	}
	return n
}

// LinkDrops yields every reason for which packets from a link are dropped
// besides reassembly's, with the number of packets: the router's reasons in
// their order, then those of the link's endpoint.
func LinkDrops(stats *stack.LinkStats) iter.Seq2[string, uint64] {
	endpoint := [...]struct {
		reason string
		n      uint64
	}{
		{"filtered", stats.Link.Filtered},
		{"neighbor-discovery", stats.Link.NeighborDiscovery},
		{"hidden-fragment-header", stats.Link.Hidden},
		{"bad-checksum", stats.Link.BadChecksum},
		{"detached", stats.Link.Detached},
	}
	return func(yield func(string, uint64) bool) {
		for reason, n := range stats.Drops {
			if !yield(stack.DropReason(reason).String(), n) {
				return
			}
		}
		for _, drop := range endpoint {
			if !yield(drop.reason, drop.n) {
				return
			}
		}
	}
}
