package metrics

import (
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Path is where the metrics are.
const Path = "/metrics"

// maxScrapes bounds the scrapes that are answered at once.
const maxScrapes = 8

// NewRegistry returns a registry with the metrics of source, and those that
// Go programs and processes have everywhere.
func NewRegistry(source Source, build Build) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		NewCollector(source, build),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

// NewHandler returns what answers at the address of the metrics: [Path] with
// what registry gathers, and the root with a hint at it.
func NewHandler(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "v6stack: the metrics are at "+Path+"\n")
	})
	return mux
}
