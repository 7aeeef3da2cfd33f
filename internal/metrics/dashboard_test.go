package metrics_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/v6stack/v6stack/internal/metrics"
)

// A dashboard is what Grafana reads, as far as the test looks at it.
type dashboard struct {
	Title      string
	Panels     []panel
	Templating struct {
		List []struct {
			Name  string
			Query json.RawMessage
		}
	}
}

type panel struct {
	ID      int
	Type    string
	Title   string
	GridPos struct{ H, W, X, Y int }
	Targets []struct{ Expr, LegendFormat string }
}

var (
	metricName = regexp.MustCompile(`\b(?:v6stack|go|process)_[a-z0-9_]+`)
	legendName = regexp.MustCompile(`{{(\w+)}}`)
	variable   = regexp.MustCompile(`\$(\w+)`)
)

// readDashboard returns examples/grafana.json.
func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile("../../examples/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// labelsOf returns the labels of every metric there is.
func labelsOf(t *testing.T) map[string]map[string]bool {
	t.Helper()
	labels := make(map[string]map[string]bool)
	families, err := metrics.NewRegistry(fixed(example()), build).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		// What Prometheus adds.
		of := map[string]bool{"instance": true, "job": true}
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				of[label.GetName()] = true
			}
		}
		labels[family.GetName()] = of
	}
	return labels
}

// Every metric that the dashboard names exists, with the labels that legends
// show, and every metric of ours is on it.
func TestDashboardMetrics(t *testing.T) {
	labels, shown := labelsOf(t), make(map[string]bool)
	d := readDashboard(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			names := metricName.FindAllString(target.Expr, -1)
			if len(names) == 0 {
				t.Errorf("%s: %q names no metric", p.Title, target.Expr)
			}
			for _, name := range names {
				shown[name] = true
				if labels[name] == nil {
					t.Errorf("%s: there is no metric %s", p.Title, name)
				}
				for _, label := range legendName.FindAllStringSubmatch(target.LegendFormat, -1) {
					if !labels[name][label[1]] {
						t.Errorf("%s: %s has no label %s", p.Title, name, label[1])
					}
				}
			}
		}
	}
	for _, v := range d.Templating.List {
		for _, name := range metricName.FindAllString(string(v.Query), -1) {
			if labels[name] == nil {
				t.Errorf("variable %s: there is no metric %s", v.Name, name)
			}
		}
	}
	for name := range labels {
		if strings.HasPrefix(name, "v6stack_") && !shown[name] {
			t.Errorf("%s is on no panel", name)
		}
	}
}

// Panels have identifiers and places of their own, and know their variables.
func TestDashboardPanels(t *testing.T) {
	d := readDashboard(t)
	variables := map[string]bool{"__rate_interval": true}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
	}
	ids, places := make(map[int]string), make(map[[2]int]string)
	for _, p := range d.Panels {
		if other, ok := ids[p.ID]; ok {
			t.Errorf("%s has the identifier of %s", p.Title, other)
		}
		ids[p.ID] = p.Title
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				place := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, ok := places[place]; ok {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				places[place] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, v := range variable.FindAllStringSubmatch(target.Expr, -1) {
				if !variables[v[1]] {
					t.Errorf("%s: there is no variable $%s", p.Title, v[1])
				}
			}
		}
	}
	if len(ids) < 20 {
		t.Errorf("only %d panels found", len(ids))
	}
}
