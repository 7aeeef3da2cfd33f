package filter

import "fmt"

const (
	defaultMaxFlows = 1 << 16
	// maxMaxFlows keeps numbers of flows far from the end of an int32.
	maxMaxFlows = 1 << 26
	// maxShards and minShardFlows bound in how many parts the table is split.
	maxShards     = 16
	minShardFlows = 256
)

// Config is the configuration of a [Filter]. The zero value has no rules:
// everything passes within a zone, nothing between zones.
type Config struct {
	// Rules in order: the first that matches decides.
	Rules []Rule
	// MaxFlows is how many flows there are at most; a flow takes about 200
	// octets. 0 stands for 65,536; negative or above 67,108,864 is refused. The
	// table is split, in parts of 256 flows or more: what a multiple of 16
	// exceeds is lost, and a part may fill up a little before the whole does.
	MaxFlows int
	// Zones and Links give the numbers of the names in Rules. Names that no
	// rule uses may be absent. While a filter is in use a number keeps its
	// meaning; that of something that went away is not used again.
	Zones, Links map[string]uint32
}

// maxFlows returns MaxFlows or its default.
func (c *Config) maxFlows() (int, error) {
	switch {
	case c.MaxFlows == 0:
		return defaultMaxFlows, nil
	case c.MaxFlows < 0 || c.MaxFlows > maxMaxFlows:
		return 0, fmt.Errorf("MaxFlows %d, want 1 to %d, or 0 for %d", c.MaxFlows, maxMaxFlows, defaultMaxFlows)
	}
	return c.MaxFlows, nil
}

// shardsFor returns how many parts a table of that size has, a power of two.
func shardsFor(maxFlows int) int {
	n := 1
	for n < maxShards && maxFlows/(2*n) >= minShardFlows {
		n *= 2
	}
	return n
}

// prepare checks the configuration.
func (c *Config) prepare() (rules *ruleset, maxFlows int, err error) {
	if maxFlows, err = c.maxFlows(); err != nil {
		return nil, 0, err
	}
	rules, err = compile(c)
	return rules, maxFlows, err
}
