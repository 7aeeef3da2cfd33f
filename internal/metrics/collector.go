package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/control"
	"github.com/v6stack/v6stack/stack"
)

// A Source is what is measured; *[stack.Stack] is one.
type Source interface {
	Stats() stack.Stats
}

var _ Source = (*stack.Stack)(nil)

// Build is what the program is made of.
type Build struct {
	Version, GVisor, Go string
}

// NewCollector returns a collector of all metrics of source. Several of them
// may be asked at once.
func NewCollector(source Source, build Build) prometheus.Collector {
	return &collector{source: source, build: build, received: make(map[defrag.Zone]uint64)}
}

// A collector is a prometheus.Collector.
type collector struct {
	source Source
	build  Build

	mu       sync.Mutex
	received map[defrag.Zone]uint64 // guarded by mu; what was told last
}

// Describe implements prometheus.Collector.
func (*collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range all {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	buildInfo.send(to, 1, c.build.Version, c.build.GVisor, c.build.Go)
	stats := c.source.Stats()
	received := c.settle(stats.Zones)
	for i := range stats.Zones {
		collectZone(to, &stats.Zones[i], received[i])
	}
	for i := range stats.Links {
		collectLink(to, &stats.Links[i])
	}
	if stats.Filter.MaxFlows != 0 {
		collectFilter(to, &stats.Filter)
	}
}

// settle returns the fragments received by each zone, and never less than the
// time before: the figure is a sum that is not read at one instant, and a
// counter that falls looks to Prometheus like one that began anew.
func (c *collector) settle(zones []stack.ZoneStats) []uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	settled := make([]uint64, len(zones))
	told := make(map[defrag.Zone]uint64, len(zones)) // without the zones that ended
	for i := range zones {
		reassembly := &zones[i].Defrag
		settled[i] = max(control.Received(&reassembly.Counts), c.received[reassembly.Zone])
		told[reassembly.Zone] = settled[i]
	}
	c.received = told
	return settled
}
