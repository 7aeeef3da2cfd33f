package stack

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/v6stack/v6stack/defrag"
)

// Reload puts another configuration in place while packets flow. If it returns
// an error, which names the field of cfg at fault, nothing has changed.
// Otherwise each packet is handled by one configuration throughout, and what
// stays is not disturbed: links, sockets, incomplete datagrams, the rules'
// flows, counters.
//
//	a link of cfg                       what becomes of it
//	name and Endpoint of a link         stays; Addresses and CheckSource are
//	there is, or no Endpoint            as cfg says, hooks and Close as before
//	name of a link, another Endpoint    takes the other's place
//	any other name                      is added
//	(a link that is not in cfg)         is removed; its Close is called
//
// A link that stays stays in its zone. A zone that cfg does not know any more
// ends: its sockets are aborted, and what it was reassembling is dropped; should
// a later configuration have it, it is another. Config.Clock, Config.Logger,
// Engine.Total and Engine.MaxZones stay what they were for [New].
//
// Reload waits for a removed link as [Stack.Close] does; like that, it may not
// be called from a hook. An error of a removed link's Close is logged.
func (s *Stack) Reload(cfg Config) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.life.hasEnded() {
		return ErrClosed
	}
	cfg = cfg.normalize()
	s.inheritEndpoints(&cfg)
	if err := cfg.check(); err != nil {
		return err
	}
	c := change{stack: s, cfg: &cfg}
	if err := c.prepare(); err != nil {
		c.undo()
		return err
	}
	c.commit()
	return nil
}

// inheritEndpoints gives links of cfg without an endpoint that of the link of
// the same name, if there is one.
func (s *Stack) inheritEndpoints(cfg *Config) {
	for i := range cfg.Links {
		if l := s.linkOf(cfg.Links[i].Name); l != nil && cfg.Links[i].Endpoint == nil {
			cfg.Links[i].Endpoint = l.lower
		}
	}
}

// linkOf returns the link of that name, or nil. The caller holds s.changing.
func (s *Stack) linkOf(name string) *link {
	i := slices.IndexFunc(s.links, func(l *link) bool { return l.name == name })
	if i < 0 {
		return nil
	}
	return s.links[i]
}

// A change is one configuration on its way to take the place of another.
type change struct {
	stack *Stack
	cfg   *Config

	links        []*link // as cfg has them
	made         []*link // those of links that are new
	addresses    []addressChange
	zones, ended []*Zone // those that cfg knows, and those that it does not
}

// An addressChange is that of the addresses of a link that stays.
type addressChange struct {
	link         *link
	added, freed []netip.Prefix
}

// prepare makes what is new, invisible yet.
func (c *change) prepare() error {
	if err := c.prepareZones(); err != nil {
		return err
	}
	for i := range c.cfg.Links {
		if err := c.prepareLink(&c.cfg.Links[i]); err != nil {
			return fmt.Errorf("link %q: %w", c.cfg.Links[i].Name, err)
		}
	}
	for i := range c.addresses {
		if err := c.addresses[i].add(); err != nil {
			return fmt.Errorf("link %q: %w", c.addresses[i].link.name, err)
		}
	}
	for _, l := range c.made {
		if err := l.enable(); err != nil {
			return err
		}
	}
	return nil
}

// prepareZones makes the zones that are new, and declares them to the engine,
// which may have too many.
func (c *change) prepareZones() error {
	names := map[string]bool{"": true}
	for i := range c.cfg.Zones {
		names[c.cfg.Zones[i].Name] = true
	}
	for i := range c.cfg.Links {
		names[c.cfg.Links[i].Zone] = true
	}
	for _, zone := range c.stack.zones {
		if names[zone.name] {
			c.zones = append(c.zones, zone)
		} else {
			c.ended = append(c.ended, zone)
		}
		delete(names, zone.name)
	}
	for name := range names {
		zone, err := c.stack.newZone(name)
		if err != nil {
			return err
		}
		c.zones = append(c.zones, zone)
		if err := c.stack.engine.SetZone(zone.id, c.cfg.defragOf(name)); err != nil {
			return fmt.Errorf("zone %q: %w", name, err)
		}
	}
	return nil
}

// defragOf returns how the zone of that name reassembles.
func (c *Config) defragOf(name string) defrag.ZoneConfig {
	for i := range c.Zones {
		if zone := &c.Zones[i]; zone.Name == name && zone.Defrag != (defrag.ZoneConfig{}) {
			return zone.Defrag
		}
	}
	return c.Engine.Zone
}

// prepareLink finds the link that stays, or makes a new one.
func (c *change) prepareLink(cfg *LinkConfig) error {
	old := c.stack.linkOf(cfg.Name)
	if old == nil || !sameEndpoint(old.lower, cfg.Endpoint) {
		i := slices.IndexFunc(c.zones, func(z *Zone) bool { return z.name == cfg.Zone })
		l, err := c.stack.newLink(cfg, c.zones[i])
		if err != nil {
			return err
		}
		c.links, c.made = append(c.links, l), append(c.made, l)
		return nil
	}
	if old.zone.name != cfg.Zone {
		return fmt.Errorf("Zone is %q, want %q: only with another Endpoint can a link change its zone", cfg.Zone, old.zone.name)
	}
	c.links = append(c.links, old)
	c.addresses = append(c.addresses, addressChange{
		link:  old,
		added: without(cfg.Addresses, old.addresses()),
		freed: without(old.addresses(), cfg.Addresses),
	})
	return nil
}

// without returns the addresses that are not among the others.
func without(addresses, others []netip.Prefix) (rest []netip.Prefix) {
	for _, address := range addresses {
		if !slices.Contains(others, address) {
			rest = append(rest, address)
		}
	}
	return rest
}

// add adds the new addresses, all or none. One whose prefix alone is another is
// the link's already.
func (c *addressChange) add() error {
	for i, address := range c.added {
		if c.keeps(address.Addr()) {
			continue
		}
		if err := c.link.addAddress(address); err != nil {
			c.added = c.added[:i]
			c.undo()
			c.added = nil
			return err
		}
	}
	return nil
}

// keeps reports whether the link keeps an address, with another prefix.
func (c *addressChange) keeps(address netip.Addr) bool {
	return slices.ContainsFunc(c.freed, func(p netip.Prefix) bool { return p.Addr() == address })
}

// undo takes the new addresses away again.
func (c *addressChange) undo() {
	for _, address := range c.added {
		if !c.keeps(address.Addr()) {
			c.link.removeAddress(address)
		}
	}
}

// commit takes the old addresses away, and those that get another prefix for a
// moment.
func (c *addressChange) commit() {
	for _, address := range c.freed {
		c.link.removeAddress(address)
	}
	for _, address := range c.added {
		if c.keeps(address.Addr()) {
			c.link.addAddress(address)
		}
	}
}

// undo takes apart what prepare made.
func (c *change) undo() {
	for i := range c.addresses {
		c.addresses[i].undo()
	}
	for _, l := range c.made {
		l.closeDevice = nil
		l.remove()
	}
	for _, zone := range c.zones {
		if !slices.Contains(c.stack.zones, zone) {
			c.stack.engine.RemoveZone(zone.id)
			zone.destroy()
		}
	}
}

// commit puts what prepare made in the place of what was.
func (c *change) commit() {
	s := c.stack
	var removed []*link
	for _, l := range s.links {
		if !slices.Contains(c.links, l) {
			removed = append(removed, l)
		}
	}
	s.mu.Lock()
	s.links, s.zones = c.links, c.zones
	s.byName = make(map[string]*Zone, len(c.zones))
	for _, zone := range c.zones {
		s.byName[zone.name] = zone
	}
	s.mu.Unlock()
	for _, zone := range c.zones {
		// It was checked, and the zones are declared.
		s.engine.SetZone(zone.id, c.cfg.defragOf(zone.name))
	}
	for i := range c.addresses {
		c.addresses[i].commit()
	}
	s.setFilter(c.cfg)
	s.setRoutes(c.cfg)
	s.setLanes(c.cfg)
	for _, zone := range c.ended {
		zone.abort()
	}
	for _, l := range removed {
		s.removeLink(l)
	}
	for _, zone := range c.ended {
		s.engine.RemoveZone(zone.id)
		s.ended = append(s.ended, zone)
	}
	s.logger.Info("reloaded", "links", len(c.links), "added", len(c.made), "removed", len(removed))
}

// removeLink removes a link for good.
func (s *Stack) removeLink(l *link) error {
	l.down.Store(true) // Nobody needs to be told.
	err := l.remove()
	if err != nil {
		err = fmt.Errorf("close link %q: %w", l.name, err)
		s.logger.Error("close link", "link", l.name, "error", err)
	}
	s.logger.Info("link removed", "link", l.name, "zone", l.zone.name)
	return err
}
