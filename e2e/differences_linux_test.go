package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// differencesFile documents where the kernel and we differ, and is enforced.
const differencesFile = "../docs/BEHAVIOUR.md"

var differencesRow = regexp.MustCompile(`^\| ([DL]\d+) \|(.*)\|$`)

// readDifferences returns the identifiers of the rows by table, as the table's
// heading calls it in lower case. Each row says what either side does, and
// why, with the RFC if one decides.
func readDifferences(t *testing.T) map[string][]string {
	t.Helper()
	content, err := os.ReadFile(differencesFile)
	if err != nil {
		t.Fatal(err)
	}
	tables := make(map[string][]string)
	heading := ""
	for _, line := range strings.Split(string(content), "\n") {
		if h, ok := strings.CutPrefix(line, "### "); ok {
			heading = strings.ToLower(h)
			continue
		}
		row := differencesRow.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		cells := strings.Split(row[2], "|")
		for _, cell := range cells {
			if strings.TrimSpace(cell) == "" {
				t.Errorf("%s: row %s of %q has an empty cell", differencesFile, row[1], heading)
			}
		}
		if heading == "default policy" && !strings.Contains(row[2], "RFC ") {
			t.Errorf("%s: row %s of %q names no RFC", differencesFile, row[1], heading)
		}
		if len(cells) != 3 {
			t.Errorf("%s: row %s of %q has %d cells, want 3", differencesFile, row[1], heading, len(cells))
		}
		tables[heading] = append(tables[heading], row[1])
	}
	return tables
}
