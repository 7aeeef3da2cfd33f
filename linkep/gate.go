package linkep

import "sync"

// A gate lets many through until it is shut, and shutting waits for those that
// are inside. The zero value is open.
type gate struct {
	// mu guards the fields below; it is not held by those inside.
	mu     sync.Mutex
	inside int
	// empty is closed when the gate is shut and the last one left; nil while
	// the gate is open.
	empty chan struct{}
}

// enter reports whether the gate is open; if so, the caller must leave.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty != nil {
		return false
	}
	g.inside++
	return true
}

// leave undoes one enter.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.empty != nil && g.inside == 0 {
		close(g.empty)
	}
}

// shut closes the gate, once, and waits until nobody is inside.
func (g *gate) shut() {
	g.mu.Lock()
	g.empty = make(chan struct{})
	if g.inside == 0 {
		close(g.empty)
	}
	empty := g.empty
	g.mu.Unlock()
	<-empty
}
