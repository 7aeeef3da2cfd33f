package tun

// DefaultDepth is the default of [PipeConfig.Depth].
const DefaultDepth = 512

// PipeConfig says what a pipe is like. The zero value is one of 1,500 octets
// with offloads, that holds 512 packets a direction.
type PipeConfig struct {
	// MTU is the longest packet, in octets. 0 or less means [DefaultMTU], more
	// than [MaxMTU] means that. Unlike a device's it may be below [MinMTU],
	// where gVisor speaks IPv4 only. What an end is told by SetMTU replaces it
	// for what is written there.
	MTU int
	// NoOffload has large segments cut and checksums finished in software as
	// they are written. By default they pass whole, as between two kernels.
	NoOffload bool
	// Depth is how many packets a direction holds, a large segment counting as
	// one; 0 or less means [DefaultDepth].
	Depth int
}

// Pipe returns two devices in memory: what is written to one is read from the
// other. It needs no privilege and exists on all platforms; its ends have no
// name. Each must be closed, in any order.
//
// What is written while an end is full waits for room, a moment in a call, and
// is refused then (ErrNoBufferSpace, Stats.Refused). If the other end was never
// attached, so that nobody reads, it is refused at once. So is, always, what is
// longer than the MTU. Once an end is closed, the other can still read what was
// written before; it cannot write (ErrClosedForSend).
//
// A packet that arrives is a new one: it shares the payload's memory with the
// one written, but neither headers nor anything that is known of it except
// GSOOptions.
func Pipe(cfg PipeConfig) (a, b *Device) {
	cfg = cfg.withDefaults()
	there, back := newLane(cfg.Depth), newLane(cfg.Depth)
	return newPipeEnd(cfg, there, back), newPipeEnd(cfg, back, there)
}

// withDefaults returns c with its fields filled in.
func (c PipeConfig) withDefaults() PipeConfig {
	if c.MTU <= 0 {
		c.MTU = DefaultMTU
	}
	c.MTU = min(c.MTU, MaxMTU)
	if c.Depth <= 0 {
		c.Depth = DefaultDepth
	}
	return c
}

// newPipeEnd returns the end that reads from in and writes to out.
func newPipeEnd(cfg PipeConfig, in, out *lane) *Device {
	var features Features
	if !cfg.NoOffload {
		features = Features{Checksum: true, TSO4: true, TSO6: true, ECN: true}
	}
	q := &pipeQueue{in: in, out: out, offload: !cfg.NoOffload}
	device := New("", cfg.MTU, features, q)
	q.mtu = &device.endpoint.mtu
	return device
}
