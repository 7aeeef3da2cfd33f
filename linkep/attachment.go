package linkep

import (
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// An attachment is what the endpoint hands packets up to.
type attachment struct {
	dispatcher gstack.NetworkDispatcher
	nic        gstack.NetworkInterface // the same, nil if it is no NIC
}

// A change is a step of the lower endpoint's life.
type change bool

const (
	attaching change = true
	detaching change = false
)

// Attach implements [gstack.LinkEndpoint]. With nil, packets stop going up at
// once, while the lower endpoint is detached and the engine lets go of the
// link's fragments in the background: gVisor calls with the stack's lock held,
// for which the lower endpoint's reader may be waiting. A closed endpoint stays
// detached.
func (e *Endpoint) Attach(dispatcher gstack.NetworkDispatcher) {
	if dispatcher == nil {
		e.detach()
		return
	}
	nic, _ := dispatcher.(gstack.NetworkInterface)
	e.mu.Lock()
	if e.closed.Load() {
		e.mu.Unlock()
		return
	}
	e.up.Store(&attachment{dispatcher: dispatcher, nic: nic})
	first := e.enqueueLocked(attaching)
	e.mu.Unlock()
	if first && e.applyFirst() {
		go e.applyAll()
	}
}

// detach stops packets from going up. The goroutine it starts ends when the
// lower endpoint is detached; [Endpoint.Close] waits for it.
func (e *Endpoint) detach() {
	e.mu.Lock()
	if e.up.Swap(nil) == nil {
		e.mu.Unlock()
		return
	}
	first := e.enqueueLocked(detaching)
	e.mu.Unlock()
	if first {
		go e.applyAll()
	}
}

// enqueueLocked adds a change and reports whether the caller has to make it,
// because nobody is making others. The caller holds e.mu.
func (e *Endpoint) enqueueLocked(c change) (first bool) {
	e.changes = append(e.changes, c)
	if e.idle != nil {
		return false
	}
	e.idle = make(chan struct{})
	return true
}

// applyFirst makes the first change and reports whether there are more.
func (e *Endpoint) applyFirst() (more bool) {
	e.mu.Lock()
	c := e.changes[0]
	e.mu.Unlock()

	if c == attaching {
		e.lower.Attach(e)
	} else {
		e.lower.Attach(nil)
		e.engine.FlushLink(e.link)
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	e.changes = e.changes[1:]
	if len(e.changes) > 0 {
		return true
	}
	close(e.idle)
	e.idle = nil
	return false
}

// applyAll makes all changes.
func (e *Endpoint) applyAll() {
	for e.applyFirst() {
	}
}

// join waits until no change is being made.
func (e *Endpoint) join() {
	for {
		e.mu.Lock()
		idle := e.idle
		e.mu.Unlock()
		if idle == nil {
			return
		}
		<-idle
	}
}

// IsAttached implements [gstack.LinkEndpoint].
func (e *Endpoint) IsAttached() bool { return e.up.Load() != nil }

// Close implements [gstack.LinkEndpoint]. It detaches the endpoint if need be
// and waits until the lower endpoint is detached, the engine holds nothing of
// this link and no ICMPv6 error is being written; then it closes its own
// engine, if it has one, and the lower endpoint. Call it with no lock of the
// stack held (gVisor does), and not from a packet's delivery. Further calls
// wait for the first.
func (e *Endpoint) Close() {
	e.closing.Do(func() {
		e.mu.Lock()
		e.closed.Store(true)
		e.mu.Unlock()
		e.detach()
		e.join()
		e.sending.shut()
		if e.ownEngine {
			e.engine.Close()
		}
		e.lower.Close()
		e.closeDone.Store(true)
	})
}

// Wait implements [gstack.LinkEndpoint]: while attached, and once closed, it
// waits for the lower endpoint. In between it returns at once, because gVisor's
// Stack.Wait calls it there with the stack's lock held, for which the lower
// endpoint's reader may be waiting; Close is what waits then.
func (e *Endpoint) Wait() {
	if e.IsAttached() || e.closeDone.Load() {
		e.lower.Wait()
	}
}
