package stack

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
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
	if t.malformed() {
		return true
	}
	var icmp [header.ICMPv6PacketTooBigMinimumSize]byte
	b := t.buffer()
	defer b.Release()
	if n, _ := b.ReadAt(icmp[:], header.IPv6MinimumSize); n < len(icmp) ||
		header.ICMPv6(icmp[:]).Type() != header.ICMPv6PacketTooBig {
		return true
	}
	mtu := header.ICMPv6(icmp[:]).MTU()
	if mtu < minMTU {
		return false
	}
	if destination, ok := lane.tooBig(t, &b); ok {
		l.zone.paths.learn(destination, mtu, l.clock.NowMonotonic())
	}
	return true
}

// tooBig returns the destination of the packet of ours that the Packet Too Big
// in b quotes; ok is false if there is none or the checksum is wrong.
func (lane *lane) tooBig(t *transit, b *buffer.Buffer) (destination netip.Addr, ok bool) {
	if t.size > maxTooBig {
		return destination, false
	}
	octets := make([]byte, t.size)
	_, _ = b.ReadAt(octets, 0)
	ip, icmp := header.IPv6(octets), header.ICMPv6(octets[header.IPv6MinimumSize:])
	quoted := header.IPv6(icmp[header.ICMPv6PacketTooBigMinimumSize:])
	if len(quoted) < header.IPv6MinimumSize {
		return destination, false
	}
	sum := header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: ip.SourceAddress(), Dst: ip.DestinationAddress()})
	source := netip.AddrFrom16(quoted.SourceAddress().As16())
	from, found := lane.table.Lookup(source)
	if sum != icmp.Checksum() || !found || from.kind != ours {
		return destination, false
	}
	return netip.AddrFrom16(quoted.DestinationAddress().As16()), true
}

// split writes a packet of ours in fragments of at most size octets. What
// cannot be split, or the link splits itself (GSO), goes whole. It borrows pkt.
func (l *link) split(pkt *gstack.PacketBuffer, size int) tcpip.Error {
	if pkt.GSOOptions.Type != gstack.GSONone {
		return l.send(pkt)
	}
	whole := pkt.ToBuffer()
	whole.TrimFront(int64(len(pkt.LinkHeader().Slice())))
	b := batches.Get().(*batch)
	defer b.release()
	b.out = l
	b.egress = &pkt.EgressRoute
	if err := defrag.Split(&whole, size, rand.Uint32(), b.add); err != nil {
		return l.send(pkt)
	}
	n, err := l.endpoint.WritePackets(b.packets)
	if n == b.packets.Len() {
		return nil
	}
	return err
}
