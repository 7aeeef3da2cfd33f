package main

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/pcapng"
)

// A sight is one thing to be seen while a ping goes its way.
type sight struct {
	kind   sightKind
	at     time.Duration // since the ping was sent
	offset int           // of a fragment, in octets of the datagram's payload
	length int           // octets of that payload
	more   bool          // the M flag of a fragment
}

type sightKind uint8

const (
	sightIn       sightKind = iota // a fragment, or a whole packet, came in
	sightDatagram                  // v6stack handed a datagram up
	sightOut                       // a fragment, or a whole packet, went out
)

// A record collects what passes between two addresses. Its methods may be
// called from many goroutines at once.
type record struct {
	host, stack netip.Addr

	mu     sync.Mutex
	start  time.Time // guarded by mu
	sights []sight   // guarded by mu
}

// begin starts the clock anew.
func (r *record) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start, r.sights = time.Now(), nil
}

// end returns what was seen since begin.
func (r *record) end() []sight {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sights)
}

// add adds what is seen now.
func (r *record) add(s sight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.at = time.Since(r.start)
	r.sights = append(r.sights, s)
}

// packet is for a [tap]: it adds packets of the two addresses. Others, such as
// a kernel's greetings on a new link, are nobody's concern.
func (r *record) packet(direction pcapng.Direction, pkt *gstack.PacketBuffer) {
	view := pkt.ToView()
	defer view.Release()
	octets := view.AsSlice()
	if len(octets) < header.IPv6MinimumSize {
		return
	}
	ip := header.IPv6(octets)
	source, destination := r.host, r.stack
	s := sight{kind: sightIn}
	if direction == pcapng.Outbound {
		s.kind = sightOut
		source, destination = destination, source
	}
	if ip.SourceAddress().As16() != source.As16() || ip.DestinationAddress().As16() != destination.As16() {
		return
	}
	s.length = len(octets) - header.IPv6MinimumSize
	if ip.NextHeader() == uint8(header.IPv6FragmentHeader) && s.length >= header.IPv6FragmentHeaderSize {
		s.length -= header.IPv6FragmentHeaderSize
		field := binary.BigEndian.Uint16(octets[header.IPv6MinimumSize+2:])
		s.offset, s.more = int(field&^7), field&1 == 1
	}
	r.add(s)
}

// datagram is for a link's OnDatagram.
func (r *record) datagram(pkt *gstack.PacketBuffer, _ *defrag.Datagram) {
	r.add(sight{kind: sightDatagram, length: pkt.Size() - header.IPv6MinimumSize})
}
