package filter

import (
	"fmt"
	"net/netip"
	"slices"
)

// A ruleset is rules made ready to be matched. It does not change.
type ruleset struct {
	rules    []Rule // as given, for tables
	compiled []condition
}

// A condition is one rule made ready.
type condition struct {
	fromZone, fromLink, toZone, toLink number
	source, destination                prefix
	protocol                           uint8
	anyProtocol                        bool
	sourcePorts, destinationPorts      []PortRange
	// icmpTypes is a bitmap, if limited is true.
	icmpTypes [4]uint64
	limited   bool
	action    Action
	stateless bool
}

// A number is that of a zone or a link to be matched, or any.
type number struct {
	id   uint32
	some bool // false matches any
}

func (n number) matches(id uint32) bool { return !n.some || n.id == id }

// A prefix is matched by what is equal to it under its mask.
type prefix struct {
	value, mask address
}

func makePrefix(p netip.Prefix) (q prefix) {
	if !p.IsValid() {
		return q
	}
	octets := p.Addr().As16()
	q.value = makeAddress(&octets)
	q.mask[0] = ^uint64(0) << (64 - min(p.Bits(), 64))
	q.mask[1] = ^uint64(0) << (64 - max(p.Bits()-64, 0))
	return q
}

func (q *prefix) matches(a address) bool {
	return a[0]&q.mask[0] == q.value[0] && a[1]&q.mask[1] == q.value[1]
}

// compile checks the rules and looks up the names in them.
func compile(c *Config) (*ruleset, error) {
	s := &ruleset{rules: cloneRules(c.Rules), compiled: make([]condition, len(c.Rules))}
	for i := range s.rules {
		var err error
		if s.compiled[i], err = s.rules[i].compile(c); err != nil {
			return nil, fmt.Errorf("rule %s: %w", describe(i, s.rules[i].Name), err)
		}
	}
	return s, nil
}

// describe returns how errors name a rule, counted from 1.
func describe(index int, name string) string {
	if name == "" {
		return fmt.Sprint(index + 1)
	}
	return fmt.Sprintf("%d (%q)", index+1, name)
}

func cloneRules(rules []Rule) []Rule {
	rules = slices.Clone(rules)
	for i := range rules {
		r := &rules[i]
		r.SourcePorts = slices.Clone(r.SourcePorts)
		r.DestinationPorts = slices.Clone(r.DestinationPorts)
		r.ICMPTypes = slices.Clone(r.ICMPTypes)
		r.From, r.To = r.From.clone(), r.To.clone()
	}
	return rules
}

func (s Selector) clone() Selector {
	if s.Zone != nil {
		name := *s.Zone
		s.Zone = &name
	}
	return s
}

func (r *Rule) compile(c *Config) (d condition, err error) {
	if err = r.check(); err != nil {
		return d, err
	}
	if d.fromZone, d.fromLink, err = r.From.compile(c); err != nil {
		return d, fmt.Errorf("from %w", err)
	}
	if d.toZone, d.toLink, err = r.To.compile(c); err != nil {
		return d, fmt.Errorf("to %w", err)
	}
	d.source, d.destination = makePrefix(r.Source), makePrefix(r.Destination)
	d.anyProtocol = r.Protocol <= 0
	d.protocol = uint8(max(r.Protocol, 0))
	d.sourcePorts, d.destinationPorts = r.SourcePorts, r.DestinationPorts
	d.limited = len(r.ICMPTypes) > 0
	for _, kind := range r.ICMPTypes {
		d.icmpTypes[kind>>6] |= 1 << (kind & 63)
	}
	d.action, d.stateless = r.Action, r.Stateless
	return d, nil
}

// compile looks up the selector's name.
func (s Selector) compile(c *Config) (zone, link number, err error) {
	switch {
	case s.Zone != nil && s.Link != "":
		return zone, link, fmt.Errorf("zone %q and link %q, want one of them", *s.Zone, s.Link)
	case s.Zone != nil:
		if zone.id, zone.some = c.Zones[*s.Zone]; !zone.some {
			return zone, link, fmt.Errorf("zone %q: there is no such zone", *s.Zone)
		}
	case s.Link != "":
		if link.id, link.some = c.Links[s.Link]; !link.some {
			return zone, link, fmt.Errorf("link %q: there is no such link", s.Link)
		}
	}
	return zone, link, nil
}

// judge returns the verdict of the first rule that matches the packet, and
// whether it opens no flow.
func (s *ruleset) judge(p *Packet) (v Verdict, stateless bool) {
	source, destination := makeAddress(&p.Source), makeAddress(&p.Destination)
	for i := range s.compiled {
		d := &s.compiled[i]
		if d.source.matches(source) && d.destination.matches(destination) && d.matches(p) {
			return Verdict{d.action, ByRule, i}, d.stateless
		}
	}
	v = Verdict{Deny, ByDefault, NoRule}
	if p.FromZone == p.ToZone {
		v.Action = Allow
	}
	return v, false
}

// matches reports whether the packet matches all but the addresses.
func (d *condition) matches(p *Packet) bool {
	return (d.anyProtocol || d.protocol == p.Protocol) &&
		d.fromZone.matches(p.FromZone) && d.toZone.matches(p.ToZone) &&
		d.fromLink.matches(p.FromLink) && d.toLink.matches(p.ToLink) &&
		inPorts(d.sourcePorts, p.SourcePort) && inPorts(d.destinationPorts, p.DestinationPort) &&
		(!d.limited || d.icmpTypes[p.ICMPType>>6]>>(p.ICMPType&63)&1 == 1)
}

// inPorts reports whether ports are empty or one of them holds port.
func inPorts(ports []PortRange, port uint16) bool {
	for _, r := range ports {
		if r.Contains(port) {
			return true
		}
	}
	return len(ports) == 0
}
