package filter

import (
	"errors"
	"fmt"
	"net/netip"
)

// AnyProtocol is the [Rule].Protocol that every protocol matches.
const AnyProtocol = -1

// Protocols of a [Rule] and a [Packet] that have more than addresses to match
// (IANA "Assigned Internet Protocol Numbers").
const (
	TCP    = 6
	UDP    = 17
	ICMPv6 = 58
)

// A Rule says what becomes of the packets that it matches. A packet matches if
// it matches every field; the zero value matches all packets and denies them.
// Rules are copied where they are taken.
type Rule struct {
	// Name for tables and errors; it may be empty.
	Name string
	// From and To are where the packet comes from and goes to.
	From, To Selector
	// Source and Destination hold the packet's addresses; the zero value holds
	// all. They are IPv6 prefixes whose bits beyond their length are zero.
	Source, Destination netip.Prefix
	// Protocol of the upper layer, 1 to 255; 0 and AnyProtocol match any.
	Protocol int
	// SourcePorts and DestinationPorts hold the packet's ports; empty matches
	// any. They need Protocol TCP or UDP.
	SourcePorts, DestinationPorts []PortRange
	// ICMPTypes holds the type of the message; empty matches any. It needs
	// Protocol ICMPv6.
	ICMPTypes []uint8
	// Action is what becomes of the packet.
	Action Action
	// Stateless keeps an allowed packet from opening a flow: each direction
	// needs a rule of its own.
	Stateless bool
}

// A Selector names a zone or a link. The zero value stands for any.
type Selector struct {
	// Zone is the zone's name; nil stands for any, and a pointer to the empty
	// string for the default zone.
	Zone *string
	// Link is the link's name; empty stands for any. Only one of Zone and Link
	// may be set.
	Link string
}

// InZone returns the selector of the zone of that name.
func InZone(name string) Selector { return Selector{Zone: &name} }

// OnLink returns the selector of the link of that name.
func OnLink(name string) Selector { return Selector{Link: name} }

// String returns the selector as configurations write it: "zone:red",
// "link:left", or "any". The default zone is "zone:default".
func (s Selector) String() string {
	switch {
	case s.Link != "":
		return "link:" + s.Link
	case s.Zone == nil:
		return "any"
	case *s.Zone == "":
		return "zone:default"
	}
	return "zone:" + *s.Zone
}

// A PortRange is the ports from First to Last, both included.
type PortRange struct {
	First, Last uint16
}

// Contains reports whether port is in the range.
func (r PortRange) Contains(port uint16) bool { return r.First <= port && port <= r.Last }

// String returns "53", or "8000-8100".
func (r PortRange) String() string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// check reports the first field of the rule that no packet could match, or
// that is no value at all. Names are checked where they are looked up.
func (r *Rule) check() error {
	if r.Protocol < AnyProtocol || r.Protocol > 255 {
		return fmt.Errorf("protocol %d, want 1 to 255, or %d for any", r.Protocol, AnyProtocol)
	}
	if r.Action >= numActions {
		return fmt.Errorf("action %d, want allow, deny or reject", uint8(r.Action))
	}
	if err := checkPrefix("source", r.Source); err != nil {
		return err
	}
	if err := checkPrefix("destination", r.Destination); err != nil {
		return err
	}
	if err := r.checkPorts("source ports", r.SourcePorts); err != nil {
		return err
	}
	if err := r.checkPorts("destination ports", r.DestinationPorts); err != nil {
		return err
	}
	if len(r.ICMPTypes) > 0 && r.Protocol != ICMPv6 {
		return errors.New("ICMPv6 types need protocol icmpv6")
	}
	return nil
}

// checkPrefix reports what is wrong with a prefix; the zero value is right.
func checkPrefix(field string, p netip.Prefix) error {
	switch {
	case p == netip.Prefix{}:
		return nil
	case !p.IsValid() || !p.Addr().Is6() || p.Addr().Is4In6():
		return fmt.Errorf("%s %v, want an IPv6 prefix", field, p)
	case p != p.Masked():
		return fmt.Errorf("%s %v has bits beyond its length, want %v", field, p, p.Masked())
	}
	return nil
}

func (r *Rule) checkPorts(field string, ports []PortRange) error {
	if len(ports) > 0 && r.Protocol != TCP && r.Protocol != UDP {
		return fmt.Errorf("%s need protocol tcp or udp", field)
	}
	for _, p := range ports {
		if p.First > p.Last {
			return fmt.Errorf("%s %v, want the lower port first", field, p)
		}
	}
	return nil
}
