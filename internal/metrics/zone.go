package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/control"
	"github.com/v6stack/v6stack/stack"
)

// Metrics of a zone's reassembly.
var (
	fragmentsReceived = counter("fragments_received_total",
		"Fragments received.", "zone")
	fragmentsAtomic = counter("fragments_atomic_total",
		"Fragments that were datagrams by themselves.", "zone")
	fragmentsReassembled = counter("fragments_reassembled_total",
		"Fragments of reassembled datagrams.", "zone")
	fragmentsDropped = counter("fragments_dropped_total",
		"Fragments dropped, by reason.", "zone", "reason")
	datagramsReassembled = counter("datagrams_reassembled_total",
		"Datagrams reassembled, atomic fragments not included.", "zone")
	queues = gauge("reassembly_queues",
		"Incomplete datagrams held.", "zone")
	fragments = gauge("reassembly_fragments",
		"Fragments of incomplete datagrams held.", "zone")
	memory = gauge("reassembly_memory_bytes",
		"Memory that incomplete datagrams take.", "zone")
	memoryHigh = gauge("reassembly_memory_high_threshold_bytes",
		"Memory above which incomplete datagrams are given up.", "zone")
	memoryLow = gauge("reassembly_memory_low_threshold_bytes",
		"Memory at which giving up ends.", "zone")
	timeout = gauge("reassembly_timeout_seconds",
		"Time that a datagram may take from its first fragment to its last.", "zone")
)

// collectZone sends the series of one zone, which received so many fragments.
func collectZone(to chan<- prometheus.Metric, stats *stack.ZoneStats, received uint64) {
	zone, counts, config := control.ZoneName(stats.Name), &stats.Defrag.Counts, &stats.Defrag.Config
	fragmentsReceived.send(to, float64(received), zone)
	fragmentsAtomic.send(to, float64(counts.Packets[defrag.Atomic]), zone)
	fragmentsReassembled.send(to, float64(counts.Packets[defrag.Reassembled]), zone)
	for verdict, n := range counts.Packets {
		if v := defrag.Verdict(verdict); v.IsDrop() {
			fragmentsDropped.send(to, float64(n), zone, v.String())
		}
	}
	datagramsReassembled.send(to, float64(counts.Datagrams), zone)
	queues.send(to, float64(counts.Queues), zone)
	fragments.send(to, float64(counts.Fragments), zone)
	memory.send(to, float64(counts.Bytes), zone)
	memoryHigh.send(to, float64(config.High), zone)
	memoryLow.send(to, float64(config.Low), zone)
	timeout.send(to, config.Timeout.Seconds(), zone)
}
