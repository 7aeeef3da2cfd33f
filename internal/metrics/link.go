package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/v6stack/v6stack/internal/control"
	"github.com/v6stack/v6stack/stack"
)

// Metrics of a link.
var (
	linkUp = gauge("link_up",
		"Whether the link takes packets: 1 if so, else 0.", "link", "zone")
	linkMTU = gauge("link_mtu_bytes",
		"Longest packet on the link.", "link", "zone")
	received = newTraffic("link_received",
		"that this host took from the link, datagrams whole")
	sent = newTraffic("link_sent",
		"that this host gave to the link, in fragments")
	forwardedFrom = newTraffic("link_forwarded_from",
		"that the router took from the link, in fragments where packets came so")
	forwardedTo = newTraffic("link_forwarded_to",
		"that the router gave to the link, in fragments where packets came so")
	dropped = counter("link_dropped_packets_total",
		"Packets from the link dropped, by reason, besides fragments that reassembly dropped.", "link", "zone", "reason")
	icmpErrors = counter("link_icmp_errors_total",
		"ICMPv6 errors owed to the link, by what became of them.", "link", "zone", "outcome")
)

// A traffic counts packets and their octets.
type traffic struct{ packets, bytes metric }

// newTraffic makes the metrics of packets of a kind.
func newTraffic(name, kind string) traffic {
	return traffic{
		packets: counter(name+"_packets_total", "Packets "+kind+".", "link", "zone"),
		bytes:   counter(name+"_bytes_total", "Octets of packets "+kind+".", "link", "zone"),
	}
}

// send sends both series of a link.
func (t traffic) send(to chan<- prometheus.Metric, counts stack.Traffic, link, zone string) {
	t.packets.send(to, float64(counts.Packets), link, zone)
	t.bytes.send(to, float64(counts.Octets), link, zone)
}

// collectLink sends the series of one link.
func collectLink(to chan<- prometheus.Metric, stats *stack.LinkStats) {
	link, zone := stats.Name, control.ZoneName(stats.Zone)
	up := 1.0
	if stats.Down {
		up = 0
	}
	linkUp.send(to, up, link, zone)
	linkMTU.send(to, float64(stats.MTU), link, zone)
	received.send(to, stats.Received, link, zone)
	sent.send(to, stats.Sent, link, zone)
	forwardedFrom.send(to, stats.ForwardedFrom, link, zone)
	forwardedTo.send(to, stats.ForwardedTo, link, zone)
	for reason, n := range control.LinkDrops(stats) {
		dropped.send(to, float64(n), link, zone, reason)
	}
	icmpErrors.send(to, float64(stats.Link.ErrorsSent), link, zone, "sent")
	icmpErrors.send(to, float64(stats.Link.ErrorsSuppressed), link, zone, "suppressed")
	icmpErrors.send(to, float64(stats.Link.ErrorsLimited), link, zone, "limited")
	icmpErrors.send(to, float64(stats.Link.ErrorsFailed), link, zone, "failed")
}
