package metrics

import "github.com/prometheus/client_golang/prometheus"

// namespace begins every name.
const namespace = "v6stack"

// A metric is one family of series.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// all are the metrics that were made.
var all []metric

// counter makes a metric that only grows.
func counter(name, help string, labels ...string) metric {
	return newMetric(prometheus.CounterValue, name, help, labels)
}

// gauge makes a metric that goes up and down.
func gauge(name, help string, labels ...string) metric {
	return newMetric(prometheus.GaugeValue, name, help, labels)
}

func newMetric(kind prometheus.ValueType, name, help string, labels []string) metric {
	m := metric{prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil), kind}
	all = append(all, m)
	return m
}

// send sends the value of one series; labels are in the metric's order.
func (m metric) send(to chan<- prometheus.Metric, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
}

var buildInfo = gauge("build_info", "What the program is made of; always 1.", "version", "gvisor", "goversion")
