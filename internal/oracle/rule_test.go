package oracle_test

import (
	"slices"
	"testing"

	"github.com/v6stack/v6stack/internal/oracle"
)

// TestRowsAreMet looks for each row in what the directed sequences, run by
// the kernel's rules, differ in.
func TestRowsAreMet(t *testing.T) {
	for _, side := range []struct {
		name string
		base oracle.Rule
		rows []oracle.Row
	}{
		{"linux", oracle.Linux, oracle.LinuxRows()},
		{"rfc8200", oracle.RFC8200, oracle.DefaultRows()},
	} {
		met := make(map[string]bool)
		for _, s := range oracle.Directed() {
			rows, ok := oracle.Explain(s, oracle.Run(s, oracle.Kernel), side.base, side.rows)
			if !ok {
				t.Errorf("%s: %s: the rows do not make the kernel of the policy", side.name, s.Name)
			}
			for _, r := range rows {
				met[r.ID] = true
			}
		}
		for _, r := range side.rows {
			if !met[r.ID] {
				t.Errorf("%s: no directed sequence meets row %s", side.name, r.ID)
			}
		}
	}
}

// TestExplain lays a difference to the one row that makes it, and to nothing
// where that row is not allowed or the outputs are not those of any rules.
func TestExplain(t *testing.T) {
	for _, row := range oracle.LinuxRows() {
		s := meets(t, row)
		outputs := oracle.Run(s, oracle.Linux|row.Rules)
		rows, ok := oracle.Explain(s, outputs, oracle.Linux, oracle.LinuxRows())
		if !ok || len(rows) != 1 || rows[0] != row {
			t.Errorf("%s: a difference of row %s is laid to %v, %v", s.Name, row.ID, rows, ok)
		}
		others := slices.DeleteFunc(oracle.LinuxRows(), func(r oracle.Row) bool { return r == row })
		if rows, ok := oracle.Explain(s, outputs, oracle.Linux, others); ok {
			t.Errorf("%s: a difference of row %s is laid to %v without it", s.Name, row.ID, rows)
		}
		at := oracle.FirstDifference(outputs, oracle.Run(s, oracle.Linux))
		outputs[at] = []byte("neither the one nor the other")
		if rows, ok := oracle.Explain(s, outputs, oracle.Linux, oracle.LinuxRows()); ok {
			t.Errorf("%s: what is in no rules is laid to %v", s.Name, rows)
		}
	}
}

// meets returns a directed sequence in which the row alone makes a difference
// to policy Linux.
func meets(t *testing.T, row oracle.Row) *oracle.Sequence {
	t.Helper()
	for _, s := range oracle.Directed() {
		if oracle.FirstDifference(oracle.Run(s, oracle.Linux|row.Rules), oracle.Run(s, oracle.Linux)) >= 0 {
			return s
		}
	}
	t.Fatalf("no directed sequence meets row %s alone", row.ID)
	return nil
}

func TestSame(t *testing.T) {
	long := make([]byte, 65535)
	for _, test := range []struct {
		name string
		a, b []byte
		want bool
	}{
		{"nothing", nil, nil, true},
		{"nothing and something", nil, []byte{1}, false},
		{"equal", []byte{1, 2}, []byte{1, 2}, true},
		{"other octet", []byte{1, 2}, []byte{1, 3}, false},
		{"shorter", []byte{1, 2}, []byte{1}, false},
		{"past the capture", long, long[:oracle.CaptureLimit], true},
		{"short of the capture", long, long[:oracle.CaptureLimit-1], false},
	} {
		if got := oracle.Same(test.a, test.b); got != test.want {
			t.Errorf("%s: same is %v", test.name, got)
		}
		if got := oracle.Same(test.b, test.a); got != test.want {
			t.Errorf("%s, turned: same is %v", test.name, got)
		}
	}
}
