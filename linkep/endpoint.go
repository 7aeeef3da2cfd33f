package linkep

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
)

// An Endpoint is a link endpoint that reassembles IPv6 datagrams on their way
// from the endpoint it wraps to the NIC above. Make one with [New], create a
// NIC on it, and let the stack close it when the NIC is removed, or call
// [Endpoint.Close]. All methods may be called from many goroutines at once.
type Endpoint struct {
	// Endpoint forwards to the lower endpoint what is not redefined here. Its
	// own dispatcher is not used: up is read without a lock.
	nested.Endpoint

	lower     gstack.LinkEndpoint
	options   Options
	engine    *defrag.Engine
	ownEngine bool
	link      uint32 // unique among the endpoints of the process
	allow     limiter

	up         atomic.Pointer[attachment]
	closed     atomic.Bool
	closing    sync.Once
	closeDone  atomic.Bool
	sending    gate
	counters   counters
	gatherings sync.Pool // of *gathering

	// mu guards the changes to the lower endpoint's attachment. It is a leaf:
	// nothing is called while it is held.
	mu sync.Mutex
	// changes not yet made, in order; the first is being made while idle is
	// not nil. Guarded by mu.
	changes []change
	// idle is closed when the last change is made. Guarded by mu.
	idle chan struct{}
}

var (
	_ gstack.LinkEndpoint      = (*Endpoint)(nil)
	_ gstack.GSOEndpoint       = (*Endpoint)(nil)
	_ gstack.NetworkDispatcher = (*Endpoint)(nil)
	_ defrag.Handler           = (*Endpoint)(nil)
)

// links counts the endpoints made so far; 0 is no endpoint's.
var links atomic.Uint32

// New returns an endpoint that wraps lower. The caller must not attach lower
// to anything else and leaves closing it to the new endpoint. The error names
// the option at fault.
func New(lower gstack.LinkEndpoint, options Options) (*Endpoint, error) {
	if lower == nil {
		return nil, errNoLower
	}
	engine, own, err := options.engine()
	if err != nil {
		return nil, err
	}
	e := &Endpoint{
		lower:     lower,
		options:   options,
		engine:    engine,
		ownEngine: own,
		link:      links.Add(1),
		allow:     options.limiter(),
	}
	e.gatherings.New = func() any { return new(gathering) }
	e.Endpoint.Init(lower, e)
	return e, nil
}

// Engine returns the engine that gathers the endpoint's fragments, shared or
// its own.
func (e *Endpoint) Engine() *defrag.Engine { return e.engine }
