package defrag

import (
	"fmt"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// Defaults of a zone are those of Linux's net.netfilter.nf_conntrack_frag6_*.
const (
	DefaultHigh    = 4 << 20
	DefaultLow     = 3 << 20
	DefaultTimeout = 60 * time.Second
)

// Defaults of an engine.
const (
	DefaultTotal    = 64 << 20
	DefaultMaxZones = 1 << 20
)

// Config is the configuration of an [Engine]. The zero value is the default.
type Config struct {
	// Clock tells the time and fires the timers; nil means the system's.
	Clock tcpip.Clock
	// Zone is the configuration of each zone that has none of its own.
	Zone ZoneConfig
	// Total bounds the memory of all zones together, in octets of truesize;
	// 0 means [DefaultTotal].
	Total uint64
	// MaxZones bounds the zones known at once, declared or in use; 0 means
	// [DefaultMaxZones]. A negative value is refused.
	MaxZones int
}

// ZoneConfig is the configuration of one zone. The zero value is the default.
type ZoneConfig struct {
	// Policy decides where fragments disagree.
	Policy Policy
	// High is the memory, in octets of truesize, above which queues are
	// evicted; Low is where eviction stops. If High is 0 it is [DefaultHigh];
	// if Low is 0 as well, it is three quarters of High. Low above High is
	// refused.
	High, Low uint64
	// Timeout is how long a datagram may take from the first of its fragments
	// to arrive (RFC 8200 section 4.5); 0 means [DefaultTimeout]. A negative
	// value is refused. A new timeout holds for new datagrams.
	Timeout time.Duration
	// MaxFragments bounds the fragments of a datagram, and MaxDatagrams the
	// incomplete datagrams of the zone; 0 means no limit of their own.
	// Negative values are refused.
	MaxFragments, MaxDatagrams int
}

// withDefaults returns c with its zero fields filled in, or an error that
// names the field at fault.
func (c ZoneConfig) withDefaults() (ZoneConfig, error) {
	if c.Policy > Linux {
		return c, fmt.Errorf("policy: %v is none of rfc8200, rfc5722, linux", c.Policy)
	}
	if c.High == 0 {
		c.High = DefaultHigh
		if c.Low == 0 {
			c.Low = DefaultLow
		}
	} else if c.Low == 0 {
		c.Low = c.High / 4 * 3
	}
	if c.Low > c.High {
		return c, fmt.Errorf("low threshold %d is above high threshold %d: want 0 ≤ low ≤ high", c.Low, c.High)
	}
	if c.Timeout < 0 {
		return c, fmt.Errorf("timeout: %v is negative", c.Timeout)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxFragments < 0 {
		return c, fmt.Errorf("fragments a datagram: %d is negative", c.MaxFragments)
	}
	if c.MaxDatagrams < 0 {
		return c, fmt.Errorf("datagrams a zone: %d is negative", c.MaxDatagrams)
	}
	return c, nil
}

// withDefaults returns c with its zero fields filled in, or an error that
// names the field at fault.
func (c Config) withDefaults() (Config, error) {
	zone, err := c.Zone.withDefaults()
	if err != nil {
		return c, fmt.Errorf("zone: %w", err)
	}
	c.Zone = zone
	if c.MaxZones < 0 {
		return c, fmt.Errorf("zones: %d is negative", c.MaxZones)
	}
	if c.MaxZones == 0 {
		c.MaxZones = DefaultMaxZones
	}
	if c.Total == 0 {
		c.Total = DefaultTotal
	}
	if c.Clock == nil {
		c.Clock = tcpip.NewStdClock()
	}
	return c, nil
}
