package rules_test

import (
	"strings"
	"testing"

	"github.com/v6stack/v6stack/defrag"
)

// TestBehaviourNamesEveryVerdict checks that an operator finds every counter in
// docs/BEHAVIOUR.md.
func TestBehaviourNamesEveryVerdict(t *testing.T) {
	behaviour := readFile(t, "docs/BEHAVIOUR.md")
	for v := range defrag.NumVerdicts {
		if !strings.Contains(behaviour, "\n| `"+v.String()+"` |") {
			t.Errorf("docs/BEHAVIOUR.md has no row for %v", v)
		}
	}
}
