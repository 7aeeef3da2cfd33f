package metrics_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var documented = regexp.MustCompile("(?m)^\\| `(v6stack_[a-z_]+)` \\|([^|]*)\\|")

// docs/OBSERVABILITY.md has a row for every metric, with its labels, and for
// nothing else.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/OBSERVABILITY.md")
	if err != nil {
		t.Fatal(err)
	}
	labels := labelsOf(t)
	rows := make(map[string]bool)
	for _, row := range documented.FindAllStringSubmatch(string(text), -1) {
		name := row[1]
		rows[name] = true
		want := make(map[string]bool)
		for label := range strings.SplitSeq(row[2], ",") {
			if label = strings.Trim(label, " `"); label != "" {
				want[label] = true
			}
		}
		got := maps.Clone(labels[name])
		delete(got, "instance")
		delete(got, "job")
		if got == nil || !maps.Equal(got, want) {
			t.Errorf("%s has labels %v, documented are %v", name, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
	for name := range labels {
		if strings.HasPrefix(name, "v6stack_") && !rows[name] {
			t.Errorf("%s is not documented", name)
		}
	}
}
