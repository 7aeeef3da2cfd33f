package tun

import gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

// headerSize is how many octets of a packet stand in a view of their own.
// gVisor's header work copies the whole chunk of a view that is shared; so it
// never copies a large one.
const headerSize = 128

// A Queue is one way in and out of a device; it carries whole IP packets. One
// goroutine reads at a time; any number write.
//
// A packet of which segmentation or a checksum is left to be done says so in
// its GSOOptions, in both directions. Only TCP may: of Type GSOTCPv4 or
// GSOTCPv6, with NeedsCsum, an MSS, and L3HdrLen, the octets ahead of the TCP
// header. A payload longer than MSS makes it a large segment.
type Queue interface {
	// Read waits for packets and hands those that are there, a few dozen at
	// most, to deliver, which takes each over. All of a packet is in its Data;
	// the headers, 128 octets at most, should stand in a view of their own.
	// RXChecksumValidated says that somebody vouches for its checksums.
	// Read must not wait once it has handed over a packet. An error that wraps
	// [os.ErrClosed] is final, any other may pass.
	Read(deliver func(pkt *gstack.PacketBuffer)) error
	// Write sends packets in order, keeps nothing of them, and returns how many
	// went. One that is refused does not keep those behind it back. An error,
	// which wraps [os.ErrClosed], says that none can be written any more.
	Write(pkts []*gstack.PacketBuffer) (written int, err error)
	// Stop makes Read return an error that wraps os.ErrClosed, now and later.
	// It does not wait.
	Stop()
	// Close waits for Write and lets go of the queue; later writes fail. It is
	// called once, after Stop, when no Read is under way.
	Close() error
}
