package stack

import (
	"fmt"

	"github.com/v6stack/v6stack/stack/filter"
)

// judge says whether the packet, which has been measured, may go on from one
// link to another. Without rules packets stay in their zone.
func (lane *lane) judge(t *transit, from, to *link) filter.Action {
	if lane.filter == nil {
		if from.zone == to.zone {
			return filter.Allow
		}
		return filter.Deny
	}
	views, skip := t.pkt.AsViewList()
	p, ok := filter.ParseViews(views.Front(), skip+t.pkt.HeaderSize(), t.size)
	if !ok {
		return filter.Deny
	}
	p.FromZone, p.FromLink = uint32(from.zone.id), uint32(from.nic)
	p.ToZone, p.ToLink = uint32(to.zone.id), uint32(to.nic)
	p.Segments, p.Length = t.sizes.Count, t.sizes.Octets
	return lane.filter.Judge(&p, from.clock.NowMonotonic()).Action
}

// filterConfig returns the filter's part of cfg with the numbers of the zones
// and links there are: a link's is that of its NIC.
func (s *Stack) filterConfig(cfg *Config) filter.Config {
	c := filter.Config{
		Rules:    cfg.Rules,
		MaxFlows: cfg.MaxFlows,
		Zones:    make(map[string]uint32, len(s.zones)),
		Links:    make(map[string]uint32, len(s.links)),
	}
	for _, zone := range s.zones {
		c.Zones[zone.name] = uint32(zone.id)
	}
	c.Zones[DefaultZone] = c.Zones[""]
	for _, l := range s.links {
		c.Links[l.name] = uint32(l.nic)
	}
	return c
}

// checkRules refuses rules that the filter would, and rules without a router.
func (c *Config) checkRules() error {
	if len(c.Rules) > 0 && !c.Forward {
		return fmt.Errorf("%d Rules: only with Forward are there packets to judge", len(c.Rules))
	}
	f := filter.Config{
		Rules:    c.Rules,
		MaxFlows: c.MaxFlows,
		Zones:    map[string]uint32{"": 0, DefaultZone: 0},
		Links:    make(map[string]uint32, len(c.Links)),
	}
	for i := range c.Zones {
		f.Zones[c.Zones[i].Name] = 0
	}
	for i := range c.Links {
		f.Zones[c.Links[i].Zone] = 0
		f.Links[c.Links[i].Name] = 0
	}
	return f.Check()
}

// setFilter puts the rules of cfg in place. Once there is a filter it stays,
// and with it the flows that the rules still allow.
func (s *Stack) setFilter(cfg *Config) error {
	c := s.filterConfig(cfg)
	if s.filter != nil {
		return s.filter.Replace(c)
	}
	if len(cfg.Rules) == 0 {
		return nil
	}
	f, err := filter.New(c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filter = f
	return nil
}
