package defrag

import (
	"gvisor.dev/gvisor/pkg/buffer"
)

// An Engine reassembles IPv6 datagrams. Make one with [New]. All methods may
// be called from many goroutines at once.
type Engine struct{ cfg Config }

// New returns an engine. The error names the field of cfg at fault.
func New(cfg Config) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg}, nil
}

// Gather feeds one IPv6 packet in and says what became of it.
//
//	verdict      packet afterwards
//	Passed       untouched, the caller's
//	Atomic       the packet without its Fragment header, the caller's
//	Reassembled  the datagram, the caller's; datagram, unless nil, describes it
//	Held         empty; the engine took the packet over
//	a drop       as received less trailing padding, the caller's to release;
//	             meta.Handler, unless nil, was told
func (e *Engine) Gather(packet *buffer.Buffer, meta *Metadata, datagram *Datagram) Verdict {
	return Passed
}

// SetZone declares a zone, or changes its configuration while packets flow.
// The error names the field of cfg at fault; then nothing changes. A new low
// or high threshold acts at once, a new timeout on new datagrams.
func (e *Engine) SetZone(zone Zone, cfg ZoneConfig) error { return nil }

// RemoveZone drops all that zone holds, without ICMPv6 errors, and forgets its
// configuration and counters; it appears anew on next use.
func (e *Engine) RemoveZone(zone Zone) {}

// FlushLink drops every queue that holds a fragment of link as its first
// arrival, without ICMPv6 errors.
func (e *Engine) FlushLink(link uint32) {}

// ZoneStats returns a snapshot of one zone; ok reports whether it is known.
func (e *Engine) ZoneStats(zone Zone) (stats ZoneStats, ok bool) { return }

// Stats returns a snapshot of the engine and of all its zones.
func (e *Engine) Stats() Stats { return Stats{} }

// Close drops all that is held, without ICMPv6 errors, and waits for running
// timers. Afterwards Gather drops fragments as [EngineClosed]. Close may be
// called more than once.
func (e *Engine) Close() {}
