package oracle_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/refs"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/oracle"
)

func TestMain(m *testing.M) {
	refs.SetLeakMode(refs.LeaksPanic)
	m.Run()
	refs.DoRepeatedLeakCheck()
}

// TestSubject compares engines with the model alone, which needs no kernel.
func TestSubject(t *testing.T) {
	sequences := oracle.Directed()
	for number := range uint64(500) {
		sequences = append(sequences, oracle.Generate(2, number))
	}
	for policy, rules := range map[defrag.Policy]oracle.Rule{defrag.Linux: oracle.Linux, defrag.RFC8200: oracle.RFC8200} {
		subject, err := oracle.NewSubject(policy)
		if err != nil {
			t.Fatal(err)
		}
		defer subject.Close()
		for _, s := range sequences {
			outputs, err := subject.Run(s)
			if err != nil {
				t.Fatalf("%v: %v\n%v", policy, err, s)
			}
			want := oracle.Run(s, rules)
			if at := oracle.FirstDifference(outputs, want); at >= 0 {
				t.Fatalf("%v: packet %d of %s %x:\nengine %x\nmodel  %x", policy, at, s.Name, s.Packets[at], outputs[at], want[at])
			}
		}
	}
}

func TestSubjectRefusesUnknownPolicy(t *testing.T) {
	if _, err := oracle.NewSubject(defrag.Policy(99)); err == nil {
		t.Error("an engine of policy 99")
	}
}
