package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/stack/filter"
)

// A Stack is an assembled network stack. Make one with [New] and end it with
// [Stack.Close]. All methods may be called from many goroutines at once.
type Stack struct {
	logger *slog.Logger
	clock  tcpip.Clock
	engine *defrag.Engine
	life   *lifetime

	// changing is held while the stack is assembled, changed or taken apart. No
	// packet waits for it.
	changing sync.Mutex
	nextZone defrag.Zone    // guarded by changing
	ended    []*Zone        // no part of the configuration any more; guarded by changing
	lastNIC  tcpip.NICID    // guarded by changing
	filter   *filter.Filter // written once, with mu held; nil while there were never rules

	// mu guards what follows against those who read; only who holds changing
	// writes. It is a leaf: nothing is called while it is held.
	mu     sync.Mutex
	zones  []*Zone // zones[0] is the default zone
	byName map[string]*Zone
	links  []*link

	closing  sync.Once
	closeErr error // written once, in closing
}

// New returns a stack with everything that cfg asks for in place: when it
// returns, addresses answer and sockets can be opened. An error names the
// field of cfg at fault; then nothing is left behind, and the links' endpoints
// are detached but not closed by their Close functions.
func New(cfg Config) (*Stack, error) {
	cfg = cfg.normalize()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = tcpip.NewStdClock()
	}
	if cfg.Engine.Clock == nil {
		cfg.Engine.Clock = cfg.Clock
	}
	engine, err := defrag.New(cfg.Engine)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	s := &Stack{
		logger: cfg.Logger,
		clock:  cfg.Clock,
		engine: engine,
		life:   newLifetime(),
		byName: make(map[string]*Zone),
	}
	if err := s.assemble(&cfg); err != nil {
		for _, l := range s.links {
			l.closeDevice = nil
		}
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// assemble makes the zones and links and sets the routes. What it made before
// an error is in s, for Close.
func (s *Stack) assemble(cfg *Config) error {
	if _, err := s.addZone(""); err != nil {
		return err
	}
	for _, zone := range cfg.Zones {
		if _, err := s.addZone(zone.Name); err != nil {
			return err
		}
	}
	for i := range cfg.Links {
		if err := s.addLink(&cfg.Links[i]); err != nil {
			return fmt.Errorf("link %q: %w", cfg.Links[i].Name, err)
		}
	}
	for _, zone := range s.zones {
		if err := s.engine.SetZone(zone.id, cfg.defragOf(zone.name)); err != nil {
			return fmt.Errorf("zone %q: %w", zone.name, err)
		}
	}
	if err := s.setFilter(cfg); err != nil {
		return err
	}
	s.setRoutes(cfg)
	s.setLanes(cfg)
	for _, l := range s.links {
		if err := l.enable(); err != nil {
			return err
		}
	}
	return nil
}

// addLink adds a link, disabled, and its zone unless that exists.
func (s *Stack) addLink(cfg *LinkConfig) error {
	zone, err := s.addZone(cfg.Zone)
	if err != nil {
		return err
	}
	l, err := s.newLink(cfg, zone)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links = append(s.links, l)
	return nil
}

// addZone adds a zone unless it exists.
func (s *Stack) addZone(name string) (*Zone, error) {
	if zone := s.byName[name]; zone != nil {
		return zone, nil
	}
	zone, err := s.newZone(name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones = append(s.zones, zone)
	s.byName[name] = zone
	return zone, nil
}

// newZone makes a zone.
func (s *Stack) newZone(name string) (*Zone, error) {
	netstack, err := newNetstack(s.clock)
	if err != nil {
		return nil, fmt.Errorf("zone %q: %w", name, err)
	}
	zone := &Zone{name: name, id: s.nextZone, netstack: netstack, life: s.life}
	s.nextZone++
	return zone, nil
}

// Zone returns the zone of that name; the default zone's is empty. ok reports
// whether there is one.
func (s *Stack) Zone(name string) (zone *Zone, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	zone, ok = s.byName[zoneName(name)]
	return zone, ok
}

// defaultZone returns the default zone, which is always there.
func (s *Stack) defaultZone() *Zone {
	zone, _ := s.Zone("")
	return zone
}

// DialContext is [Zone.DialContext] of the default zone.
func (s *Stack) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return s.defaultZone().DialContext(ctx, network, address)
}

// Listen is [Zone.Listen] of the default zone.
func (s *Stack) Listen(network, address string) (net.Listener, error) {
	return s.defaultZone().Listen(network, address)
}

// ListenPacket is [Zone.ListenPacket] of the default zone.
func (s *Stack) ListenPacket(network, address string) (net.PacketConn, error) {
	return s.defaultZone().ListenPacket(network, address)
}

// Close ends the stack: sockets fail with [ErrClosed], peers of open
// connections are sent a reset, links are detached and closed, and what was
// being reassembled is dropped. It waits for all of that. Close may be called
// at any time and more than once; each call returns what the first one did, an
// error of a link's Close.
func (s *Stack) Close() error {
	s.closing.Do(func() { s.closeErr = s.shutDown() })
	return s.closeErr
}

// shutDown takes the stack apart from the top: sockets, links, gVisor's
// stacks, the engine.
func (s *Stack) shutDown() error {
	s.life.end()
	s.changing.Lock()
	defer s.changing.Unlock()
	for _, zone := range s.zones {
		zone.abort()
	}
	s.life.release()
	var errs []error
	for _, l := range s.links {
		errs = append(errs, s.removeLink(l))
	}
	for _, zone := range append(s.ended, s.zones...) {
		zone.destroy()
	}
	s.engine.Close()
	return errors.Join(errs...)
}
