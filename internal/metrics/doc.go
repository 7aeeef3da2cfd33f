// Package metrics shows the counters of a stack to Prometheus.
//
// Each metric is read from the stack when Prometheus asks. They live in a
// registry of their own, so that a program that embeds the stack keeps its own
// apart.
package metrics
