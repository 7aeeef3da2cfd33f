package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/v6stack/v6stack/stack/filter"
)

// Metrics of the rules and flows. A rule's number is its place in the
// configuration, from 1; rules may have no name, or one between them.
var (
	rulePackets = counter("filter_rule_packets_total",
		"Packets that matched the rule, and those of the flows it opened.", "rule", "name", "action")
	ruleBytes = counter("filter_rule_bytes_total",
		"Octets of packets that matched the rule, and of the flows it opened.", "rule", "name", "action")
	defaultPackets = counter("filter_default_packets_total",
		"Packets that matched no rule, by what became of them.", "action")
	defaultBytes = counter("filter_default_bytes_total",
		"Octets of packets that matched no rule, by what became of them.", "action")
	errorPackets = counter("filter_icmp_error_packets_total",
		"ICMPv6 errors that passed because of a flow.")
	errorBytes = counter("filter_icmp_error_bytes_total",
		"Octets of ICMPv6 errors that passed because of a flow.")
	flows = gauge("filter_flows",
		"Flows there are.")
	flowsLimit = gauge("filter_flows_limit",
		"Flows there may be.")
	flowsOpened = counter("filter_flows_opened_total",
		"Flows opened.")
	flowsEnded = counter("filter_flows_ended_total",
		"Flows ended, by reason.", "reason")
)

// collectFilter sends the series of the rules and flows.
func collectFilter(to chan<- prometheus.Metric, stats *filter.Stats) {
	for i, rule := range stats.Rules {
		number, action := strconv.Itoa(i+1), rule.Action.String()
		rulePackets.send(to, float64(rule.Packets), number, rule.Name, action)
		ruleBytes.send(to, float64(rule.Bytes), number, rule.Name, action)
	}
	allow, deny := filter.Allow.String(), filter.Deny.String()
	defaultPackets.send(to, float64(stats.DefaultAllowed.Packets), allow)
	defaultBytes.send(to, float64(stats.DefaultAllowed.Bytes), allow)
	defaultPackets.send(to, float64(stats.DefaultDenied.Packets), deny)
	defaultBytes.send(to, float64(stats.DefaultDenied.Bytes), deny)
	errorPackets.send(to, float64(stats.Errors.Packets))
	errorBytes.send(to, float64(stats.Errors.Bytes))
	flows.send(to, float64(stats.Flows))
	flowsLimit.send(to, float64(stats.MaxFlows))
	flowsOpened.send(to, float64(stats.Opened))
	flowsEnded.send(to, float64(stats.Expired), "expired")
	flowsEnded.send(to, float64(stats.Evicted), "evicted")
	flowsEnded.send(to, float64(stats.Revoked), "revoked")
}
