package stack

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
)

const (
	// pathLifetime is how long a path's MTU is believed (RFC 8201 section 4).
	pathLifetime = 10 * time.Minute
	// maxPaths bounds the paths of a zone whose MTU is known.
	maxPaths = 4096
	// maxTooBig is the size above which a Packet Too Big is none (RFC 4443
	// section 2.4(c)), with some patience.
	maxTooBig = 2048
)

// paths are the paths of a zone whose MTU is below that of their link. The zero
// value knows none.
type paths struct {
	count atomic.Int32 // of known
	mu    sync.RWMutex
	known map[netip.Addr]path // by destination; guarded by mu
}

// A path is what is known of the way to a destination.
type path struct {
	mtu     uint32
	expires tcpip.MonotonicTime
}

// empty reports whether no path is known.
func (p *paths) empty() bool { return p.count.Load() == 0 }

// mtu returns the MTU of the path to destination if it is known.
func (p *paths) mtu(destination netip.Addr, now tcpip.MonotonicTime) (mtu uint32, ok bool) {
	if p.empty() {
		return 0, false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	known, ok := p.known[destination]
	return known.mtu, ok && now.Before(known.expires)
}

// learn remembers the MTU of a path, unless a smaller one is known.
func (p *paths) learn(destination netip.Addr, mtu uint32, now tcpip.MonotonicTime) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.known[destination]
	if ok && known.mtu < mtu && now.Before(known.expires) {
		return
	}
	if !ok && len(p.known) >= maxPaths {
		p.makeRoomLocked(now)
	}
	if p.known == nil {
		p.known = make(map[netip.Addr]path)
	}
	p.known[destination] = path{mtu: mtu, expires: now.Add(pathLifetime)}
	p.count.Store(int32(len(p.known)))
}

// makeRoomLocked forgets the paths that have expired, or else any. p.mu must be
// held.
func (p *paths) makeRoomLocked(now tcpip.MonotonicTime) {
	for destination, known := range p.known {
		if !now.Before(known.expires) {
			delete(p.known, destination)
		}
	}
	for destination := range p.known {
		if len(p.known) < maxPaths {
			return
		}
		delete(p.known, destination)
	}
}

// learnPathMTU takes the MTU out of a Packet Too Big about a packet of ours,
// which goes up as well. It returns false for one below 1,280, which nobody may
// see (RFC 8200 section 5).
func (l *link) learnPathMTU(lane *lane, t *transit) bool {
	if !leadsToICMP(t.nextHeader()) || t.malformed() {
		return true
	}
	var memory [maxTooBig]byte
	octets := memory[:min(t.size, maxTooBig)]
	t.copyOut(octets)
	icmp := header.ICMPv6(octets[icmpOffset(octets):])
	if len(icmp) < header.ICMPv6PacketTooBigMinimumSize || icmp.Type() != header.ICMPv6PacketTooBig {
		return true
	}
	if icmp.MTU() < minMTU {
		return false
	}
	if destination, ok := lane.tooBig(t, icmp); ok && t.size <= maxTooBig {
		l.zone.paths.learn(destination, icmp.MTU(), l.clock.NowMonotonic())
	}
	return true
}

// leadsToICMP reports whether gVisor may find an ICMPv6 message in or behind
// a header of that type.
func leadsToICMP(next uint8) bool {
	switch next {
	case uint8(header.ICMPv6ProtocolNumber),
		uint8(header.IPv6HopByHopOptionsExtHdrIdentifier),
		uint8(header.IPv6RoutingExtHdrIdentifier),
		uint8(header.IPv6DestinationOptionsExtHdrIdentifier),
		uint8(header.IPv6ExperimentExtHdrIdentifier):
		return true
	}
	return false
}

// icmpOffset returns where the ICMPv6 message of a packet begins, or the
// packet's length if there is none.
func icmpOffset(octets []byte) int {
	next, at := octets[header.IPv6NextHeaderOffset], header.IPv6MinimumSize
	for next != uint8(header.ICMPv6ProtocolNumber) {
		if !leadsToICMP(next) || at+2 > len(octets) {
			return len(octets)
		}
		here := next
		next = octets[at]
		if here == uint8(header.IPv6ExperimentExtHdrIdentifier) {
			at += 8
		} else {
			at += 8 * (int(octets[at+1]) + 1)
		}
	}
	return min(at, len(octets))
}

// tooBig returns the destination of the packet of ours that a Packet Too Big
// quotes; ok is false if there is none or the checksum is wrong.
func (lane *lane) tooBig(t *transit, icmp header.ICMPv6) (destination netip.Addr, ok bool) {
	quoted := header.IPv6(icmp[header.ICMPv6PacketTooBigMinimumSize:])
	if len(quoted) < header.IPv6MinimumSize {
		return destination, false
	}
	ip := header.IPv6(t.fixed[:])
	sum := header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: ip.SourceAddress(), Dst: ip.DestinationAddress()})
	source := netip.AddrFrom16(quoted.SourceAddress().As16())
	from, found := lane.table.Lookup(source)
	if sum != icmp.Checksum() || !found || from.kind != ours {
		return destination, false
	}
	return netip.AddrFrom16(quoted.DestinationAddress().As16()), true
}

// split writes a packet of ours in fragments of at most size octets. What
// cannot be split goes whole. It borrows pkt.
func (l *link) split(pkt *gstack.PacketBuffer, size int) tcpip.Error {
	whole := withoutLink(pkt)
	b := batches.Get().(*batch)
	defer b.release()
	b.out, b.egress = l, &pkt.EgressRoute
	if err := defrag.Split(&whole, size, rand.Uint32(), b.add); err != nil {
		return l.send(pkt)
	}
	return l.writeAll(b)
}
