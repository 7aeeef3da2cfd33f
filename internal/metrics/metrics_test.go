package metrics_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/metrics"
	"github.com/v6stack/v6stack/linkep"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
)

var build = metrics.Build{Version: "v1.2.3", GVisor: "v0.0.0-1", Go: "go1.26"}

// A source says what it was given.
type source func() stack.Stats

func (s source) Stats() stack.Stats { return s() }

// example returns what a router of two links in two zones says, with rules of
// which two have the same name.
func example() stack.Stats {
	left := stack.LinkStats{
		Name: "left", Zone: "red", MTU: 1500,
		Received:      stack.Traffic{Packets: 11, Octets: 1100},
		Sent:          stack.Traffic{Packets: 12, Octets: 1200},
		ForwardedFrom: stack.Traffic{Packets: 13, Octets: 1300},
		ForwardedTo:   stack.Traffic{Packets: 14, Octets: 1400},
		Link: linkep.Stats{
			Filtered: 21, NeighborDiscovery: 22, Hidden: 23, BadChecksum: 24, Detached: 25,
			ErrorsSent: 26, ErrorsSuppressed: 27, ErrorsLimited: 28, ErrorsFailed: 29,
		},
	}
	for reason := range left.Drops {
		left.Drops[reason] = 200 + uint64(reason)
	}
	red := stack.ZoneStats{Name: "red", Defrag: defrag.ZoneStats{
		Zone:   1,
		Config: defrag.ZoneConfig{High: 1 << 20, Low: 3 << 18, Timeout: 1500 * time.Millisecond},
		Counts: defrag.Counts{Datagrams: 31, Queues: 32, Fragments: 33, Bytes: 34000},
	}}
	red.Defrag.Packets[defrag.Passed] = 1000
	red.Defrag.Packets[defrag.Reassembled] = 302
	red.Defrag.Packets[defrag.Atomic] = 303
	for verdict := defrag.Jumbogram; verdict < defrag.NumVerdicts; verdict++ {
		red.Defrag.Packets[verdict] = 400 + uint64(verdict)
	}
	return stack.Stats{
		Links: []stack.LinkStats{left, {Name: "right", MTU: 9000, Down: true}},
		Zones: []stack.ZoneStats{{}, red},
		Filter: filter.Stats{
			Rules: []filter.RuleStats{
				{Name: "dns", Action: filter.Allow, Count: filter.Count{Packets: 41, Bytes: 4100}},
				{Name: "dns", Action: filter.Allow, Count: filter.Count{Packets: 42, Bytes: 4200}},
				{Action: filter.Reject},
			},
			DefaultAllowed: filter.Count{Packets: 43, Bytes: 4300},
			DefaultDenied:  filter.Count{Packets: 44, Bytes: 4400},
			Errors:         filter.Count{Packets: 45, Bytes: 4500},
			Flows:          46, MaxFlows: 65536,
			Turnover: filter.Turnover{Opened: 47, Expired: 48, Evicted: 49, Revoked: 50},
		},
	}
}

func fixed(stats stack.Stats) source { return func() stack.Stats { return stats } }

// gather returns each series by its name and labels, with its value.
func gather(t *testing.T, registry prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, label := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
			}
			name := family.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			// One of the two is 0.
			series[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return series
}

// pedantic returns a registry that checks the collector, too.
func pedantic(s metrics.Source) *prometheus.Registry {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metrics.NewCollector(s, build))
	return registry
}

// Names, help and units are as Prometheus wants them.
func TestLint(t *testing.T) {
	for name, registry := range map[string]*prometheus.Registry{
		"collector": pedantic(fixed(example())),
		"registry":  metrics.NewRegistry(fixed(example()), build),
	} {
		problems, err := testutil.GatherAndLint(registry)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, problem := range problems {
			t.Errorf("%s: %s: %s", name, problem.Metric, problem.Text)
		}
	}
}

// Each figure is where it belongs.
func TestValues(t *testing.T) {
	got := gather(t, pedantic(fixed(example())))
	received := 33.0 + 302 + 303
	for verdict := defrag.Jumbogram; verdict < defrag.NumVerdicts; verdict++ {
		received += 400 + float64(verdict)
	}
	const left = `{link="left",zone="red"}`
	want := map[string]float64{
		`v6stack_build_info{goversion="go1.26",gvisor="v0.0.0-1",version="v1.2.3"}`: 1,

		`v6stack_fragments_received_total{zone="default"}`:           0,
		`v6stack_fragments_received_total{zone="red"}`:               received,
		`v6stack_fragments_reassembled_total{zone="red"}`:            302,
		`v6stack_fragments_atomic_total{zone="red"}`:                 303,
		`v6stack_datagrams_reassembled_total{zone="red"}`:            31,
		`v6stack_reassembly_queues{zone="red"}`:                      32,
		`v6stack_reassembly_fragments{zone="red"}`:                   33,
		`v6stack_reassembly_memory_bytes{zone="red"}`:                34000,
		`v6stack_reassembly_memory_high_threshold_bytes{zone="red"}`: 1 << 20,
		`v6stack_reassembly_memory_low_threshold_bytes{zone="red"}`:  3 << 18,
		`v6stack_reassembly_timeout_seconds{zone="red"}`:             1.5,

		`v6stack_link_up` + left:                                                                     1,
		`v6stack_link_up{link="right",zone="default"}`:                                               0,
		`v6stack_link_mtu_bytes` + left:                                                              1500,
		`v6stack_link_received_packets_total` + left:                                                 11,
		`v6stack_link_received_bytes_total` + left:                                                   1100,
		`v6stack_link_sent_packets_total` + left:                                                     12,
		`v6stack_link_sent_bytes_total` + left:                                                       1200,
		`v6stack_link_forwarded_from_packets_total` + left:                                           13,
		`v6stack_link_forwarded_from_bytes_total` + left:                                             1300,
		`v6stack_link_forwarded_to_packets_total` + left:                                             14,
		`v6stack_link_forwarded_to_bytes_total` + left:                                               1400,
		`v6stack_link_icmp_errors_total{link="left",outcome="sent",zone="red"}`:                      26,
		`v6stack_link_icmp_errors_total{link="left",outcome="failed",zone="red"}`:                    29,
		`v6stack_link_icmp_errors_total{link="left",outcome="limited",zone="red"}`:                   28,
		`v6stack_link_icmp_errors_total{link="left",outcome="suppressed",zone="red"}`:                27,
		`v6stack_link_dropped_packets_total{link="left",reason="filtered",zone="red"}`:               21,
		`v6stack_link_dropped_packets_total{link="left",reason="neighbor-discovery",zone="red"}`:     22,
		`v6stack_link_dropped_packets_total{link="left",reason="hidden-fragment-header",zone="red"}`: 23,
		`v6stack_link_dropped_packets_total{link="left",reason="bad-checksum",zone="red"}`:           24,
		`v6stack_link_dropped_packets_total{link="left",reason="detached",zone="red"}`:               25,

		`v6stack_filter_rule_packets_total{action="allow",name="dns",rule="1"}`: 41,
		`v6stack_filter_rule_bytes_total{action="allow",name="dns",rule="1"}`:   4100,
		`v6stack_filter_rule_packets_total{action="allow",name="dns",rule="2"}`: 42,
		`v6stack_filter_rule_packets_total{action="reject",name="",rule="3"}`:   0,
		`v6stack_filter_default_packets_total{action="allow"}`:                  43,
		`v6stack_filter_default_bytes_total{action="allow"}`:                    4300,
		`v6stack_filter_default_packets_total{action="deny"}`:                   44,
		`v6stack_filter_default_bytes_total{action="deny"}`:                     4400,
		`v6stack_filter_icmp_error_packets_total`:                               45,
		`v6stack_filter_icmp_error_bytes_total`:                                 4500,
		`v6stack_filter_flows`:                                                  46,
		`v6stack_filter_flows_limit`:                                            65536,
		`v6stack_filter_flows_opened_total`:                                     47,
		`v6stack_filter_flows_ended_total{reason="expired"}`:                    48,
		`v6stack_filter_flows_ended_total{reason="evicted"}`:                    49,
		`v6stack_filter_flows_ended_total{reason="revoked"}`:                    50,
	}
	for verdict := defrag.Jumbogram; verdict < defrag.NumVerdicts; verdict++ {
		want[fmt.Sprintf(`v6stack_fragments_dropped_total{reason="%v",zone="red"}`, verdict)] = 400 + float64(verdict)
	}
	for reason := range stack.NumDropReasons {
		want[fmt.Sprintf(`v6stack_link_dropped_packets_total{link="left",reason="%v",zone="red"}`, reason)] = 200 + float64(reason)
	}
	for series, value := range want {
		if n, ok := got[series]; !ok || n != value {
			t.Errorf("%s is %v (there: %v), want %v", series, n, ok, value)
		}
	}
}

// Every metric is told by the example, so that what other tests see is all.
func TestAllAreTold(t *testing.T) {
	described := make(chan *prometheus.Desc, 1000)
	collector := metrics.NewCollector(fixed(example()), build)
	collector.Describe(described)
	close(described)
	want := len(described)
	got := make(map[string]bool)
	for series := range gather(t, pedantic(fixed(example()))) {
		name, _, _ := strings.Cut(series, "{")
		got[name] = true
	}
	if len(got) != want {
		t.Errorf("%d metrics of %d are told: %v", len(got), want, slices.Sorted(maps.Keys(got)))
	}
}

// Where there are no rules there are no series of them.
func TestWithoutFilter(t *testing.T) {
	stats := example()
	stats.Filter = filter.Stats{}
	for series := range gather(t, pedantic(fixed(stats))) {
		if strings.HasPrefix(series, "v6stack_filter") {
			t.Errorf("%s is there", series)
		}
	}
}

// Fragments received never fall, though the sum they are may; those of another
// zone of the same name do.
func TestReceivedNeverFalls(t *testing.T) {
	stats := stack.Stats{Zones: []stack.ZoneStats{{Name: "red", Defrag: defrag.ZoneStats{Zone: 1}}}}
	zone := &stats.Zones[0].Defrag
	registry := pedantic(source(func() stack.Stats { return stats }))
	for _, step := range []struct {
		id   defrag.Zone
		held uint64
		want float64
	}{{1, 7, 7}, {1, 6, 7}, {1, 8, 8}, {2, 1, 1}, {2, 0, 1}, {1, 0, 0}} {
		zone.Zone, zone.Fragments = step.id, step.held
		if got := gather(t, registry)[`v6stack_fragments_received_total{zone="red"}`]; got != step.want {
			t.Errorf("%+v: %v received", step, got)
		}
	}
}

// The handler has metrics and a hint at them, of a real stack.
func TestHandler(t *testing.T) {
	s, err := stack.New(stack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	handler := metrics.NewHandler(metrics.NewRegistry(s, build))
	for _, test := range []struct {
		method, path string
		status       int
		want         []string
	}{
		{"GET", metrics.Path, http.StatusOK, []string{
			`v6stack_build_info{goversion="go1.26",gvisor="v0.0.0-1",version="v1.2.3"} 1`,
			`v6stack_fragments_received_total{zone="default"} 0`,
			`# TYPE v6stack_fragments_received_total counter`,
			`go_goroutines `,
		}},
		{"GET", "/", http.StatusOK, []string{metrics.Path}},
		{"GET", "/other", http.StatusNotFound, nil},
		{"POST", metrics.Path, http.StatusMethodNotAllowed, nil},
	} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(test.method, test.path, nil))
		body, err := io.ReadAll(recorder.Result().Body)
		if err != nil || recorder.Code != test.status {
			t.Errorf("%s %s: status %d, error %v, want %d", test.method, test.path, recorder.Code, err, test.status)
		}
		for _, want := range test.want {
			if !strings.Contains(string(body), want) {
				t.Errorf("%s %s has no %q:\n%s", test.method, test.path, want, body)
			}
		}
	}
}

// Scrapes at once do not meet.
func TestConcurrentScrapes(t *testing.T) {
	var held atomic.Uint64
	registry := pedantic(source(func() stack.Stats {
		stats := example()
		stats.Zones[1].Defrag.Fragments = held.Add(1)
		return stats
	}))
	done := make(chan error)
	for range 8 {
		go func() {
			_, err := registry.Gather()
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		":9100":          "127.0.0.1:9100",
		":0":             "127.0.0.1:0",
		"0.0.0.0:9100":   "0.0.0.0:9100",
		"[::]:9100":      "[::]:9100",
		"[::1]:9100":     "[::1]:9100",
		"localhost:9100": "localhost:9100",
		"10.0.0.1:65535": "10.0.0.1:65535",

		"":            "",
		"9100":        "",
		"localhost":   "",
		":":           "",
		":http":       "",
		":65536":      "",
		":-1":         "",
		"::1:9100":    "",
		"[::1]":       "",
		"http://x:80": "",
	} {
		got, err := metrics.ParseAddress(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, error %v, want %q", text, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), ":9100") {
			t.Errorf("%q: error %v does not say what is allowed", text, err)
		}
	}
}
