package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/v6stack/v6stack/defrag"
)

// reassemblyFlags are the flags that say how datagrams are reassembled.
type reassemblyFlags struct {
	overlap   policyFlag
	timeout   durationFlag
	high, low sizeFlag
}

// register adds the flags to set, with their defaults.
func (r *reassemblyFlags) register(set *pflag.FlagSet) {
	r.timeout = durationFlag(defrag.DefaultTimeout)
	r.high, r.low = defrag.DefaultHigh, defrag.DefaultLow
	set.Var(&r.overlap, "overlap", "where fragments overlap: rfc8200, rfc5722 or linux")
	set.Var(&r.timeout, "frag-timeout", "time from a datagram's first fragment to its last, above 0")
	set.Var(&r.high, "frag-high", "memory for incomplete datagrams above which some are given up")
	set.Var(&r.low, "frag-low", "memory at which giving up stops; three quarters of --frag-high if only that is given")
}

// zone returns what the flags of set, which has been parsed, say.
func (r *reassemblyFlags) zone(set *pflag.FlagSet) (defrag.ZoneConfig, error) {
	if r.high == 0 {
		return defrag.ZoneConfig{}, usagef("--frag-high 0: want more than 0")
	}
	if !set.Changed("frag-low") {
		r.low = max(r.high/4*3, 1)
	}
	if r.low == 0 || r.low > r.high {
		return defrag.ZoneConfig{}, usagef("--frag-low %v with --frag-high %v: want 0 < low ≤ high", &r.low, &r.high)
	}
	return defrag.ZoneConfig{
		Policy:  defrag.Policy(r.overlap),
		Timeout: time.Duration(r.timeout),
		High:    uint64(r.high),
		Low:     uint64(r.low),
	}, nil
}
