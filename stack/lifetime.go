package stack

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// ErrClosed is what sockets of a closed stack return, and attempts to open
// one. It is a net.ErrClosed, too.
var ErrClosed = fmt.Errorf("stack closed: %w", net.ErrClosed)

// A lifetime is that of a stack, as its sockets know it. It tells them that
// the stack is closing, and the stack which sockets are open and when none is
// being opened any more.
type lifetime struct {
	ctx    context.Context // done once the stack is closing
	cancel context.CancelFunc

	mu      sync.Mutex
	ended   bool                   // guarded by mu
	sockets map[*closable]struct{} // guarded by mu
	opening sync.WaitGroup         // Add only with mu held and ended false
}

func newLifetime() *lifetime {
	ctx, cancel := context.WithCancel(context.Background())
	return &lifetime{ctx: ctx, cancel: cancel, sockets: make(map[*closable]struct{})}
}

// begin reports whether a socket may be opened. If so, the caller calls done
// once it is open or failed.
func (l *lifetime) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.opening.Add(1)
	return true
}

// done says that a socket that begin allowed is open or failed.
func (l *lifetime) done() { l.opening.Done() }

// add makes an open socket known.
func (l *lifetime) add(c *closable) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sockets[c] = struct{}{}
}

// remove forgets a socket.
func (l *lifetime) remove(c *closable) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sockets, c)
}

// end ends the lifetime and waits until no socket is being opened.
func (l *lifetime) end() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.cancel()
	l.opening.Wait()
}

// release frees what open sockets hold, such as data nobody read.
func (l *lifetime) release() {
	l.mu.Lock()
	sockets := l.sockets
	l.sockets = make(map[*closable]struct{})
	l.mu.Unlock()
	for c := range sockets {
		c.release()
	}
}

// hasEnded reports whether the stack is closing or closed.
func (l *lifetime) hasEnded() bool { return l.ctx.Err() != nil }

// context returns a context that is done when ctx is or the lifetime ends. The
// caller calls the function when it needs the context no more.
func (l *lifetime) context(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
