package filter

import "time"

// A flow is what is known about one flow, besides its key.
type flow struct {
	connection
	replied bool
	// origin is the index in the key of the end that opened the flow.
	origin uint8
	// rule is the index of the rule that allows the flow, or NoRule.
	rule int32
	// links are those of the key's ends.
	links [2]uint32
	// opened and deadline are in nanoseconds of the monotonic clock.
	opened, deadline int64
	// traffic there, from the origin, and back.
	there, back Count
}

// open sets the flow up for the packet that opens it.
func (f *flow) open(x *subject, rule int) {
	*f = flow{origin: x.from, links: x.links, rule: int32(rule), opened: x.now}
	switch x.key.protocol {
	case TCP:
		f.state = x.packet.firstSegment().first()
		f.followLast(x.packet, false)
	case UDP:
		f.state = Datagrams
	case ICMPv6:
		f.state = Echo
	default:
		f.state = Other
	}
	f.there.add(x.packet)
	f.deadline = x.now + int64(f.state.Timeout(false))
}

// follow takes one packet more.
func (f *flow) follow(x *subject) {
	reply := x.from != f.origin
	if reply {
		f.replied = true
		f.back.add(x.packet)
	} else {
		f.there.add(x.packet)
	}
	switch {
	case x.key.protocol == TCP:
		f.connection = f.next(x.packet.firstSegment(), reply)
		f.followLast(x.packet, reply)
	case f.state == Datagrams && f.replied && x.now-f.opened > int64(streamAfter):
		f.state = Stream
	}
	f.deadline = x.now + int64(f.state.Timeout(f.replied))
}

// followLast takes the last segment of a packet that stands for several. Those
// before it, being alike, change no more than the first.
func (f *flow) followLast(p *Packet, reply bool) {
	if p.Segments > 1 {
		f.connection = f.next(p.lastSegment(), reply)
	}
}

// list returns the number of the list that the flow is in.
func (f *flow) list() int {
	if f.replied {
		return 2*int(f.state) + 1
	}
	return 2 * int(f.state)
}

// A Count is packets and their octets.
type Count struct {
	Packets, Bytes uint64
}

func (c *Count) add(p *Packet) {
	c.Packets += uint64(max(p.Segments, 1))
	c.Bytes += uint64(p.Length)
}

// Add adds d to c.
func (c *Count) Add(d Count) {
	c.Packets += d.Packets
	c.Bytes += d.Bytes
}

// A Flow is one flow as tables show it: the view of the packet that opened
// it. It is a plain value.
type Flow struct {
	FromZone, FromLink, ToZone, ToLink uint32
	Source, Destination                [16]byte
	Protocol                           uint8
	// SourcePort and DestinationPort are those of TCP and UDP, else 0.
	SourcePort, DestinationPort uint16
	// Identifier is that of an ICMPv6 echo.
	Identifier uint16
	State      State
	// Replied is whether the other side has answered.
	Replied bool
	// Rule is the index of the rule that allows the flow, or NoRule.
	Rule int
	// Age is how long the flow has been known.
	Age time.Duration
	// Expires is how long the flow will live if no packet comes.
	Expires time.Duration
	// There is the traffic in the flow's direction, Back that of replies.
	There, Back Count
}

// public returns the flow of that key as tables show it.
func (f *flow) public(k *key, now int64) Flow {
	p := f.opener(k, f.links)
	return Flow{
		FromZone: p.FromZone, FromLink: p.FromLink, ToZone: p.ToZone, ToLink: p.ToLink,
		Source: p.Source, Destination: p.Destination,
		Protocol:   p.Protocol,
		SourcePort: p.SourcePort, DestinationPort: p.DestinationPort,
		Identifier: p.Identifier,
		State:      f.state,
		Replied:    f.replied,
		Rule:       int(f.rule),
		Age:        time.Duration(now - f.opened),
		Expires:    time.Duration(f.deadline - now),
		There:      f.there, Back: f.back,
	}
}

// opener returns a packet like the one that opened the flow, on these links,
// as far as rules look at it.
func (f *flow) opener(k *key, links [2]uint32) Packet {
	from, to := f.origin, 1-f.origin
	p := Packet{
		FromZone: k.zone[from], FromLink: links[from],
		ToZone: k.zone[to], ToLink: links[to],
		Source: k.address[from].octets(), Destination: k.address[to].octets(),
		Protocol:   k.protocol,
		SourcePort: k.port[from], DestinationPort: k.port[to],
	}
	if k.protocol == ICMPv6 {
		p.ICMPType, p.Identifier = echoRequest, p.SourcePort
		p.SourcePort, p.DestinationPort = 0, 0
	}
	return p
}
