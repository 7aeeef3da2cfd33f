package control_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/control"
	"github.com/v6stack/v6stack/linkep"
	"github.com/v6stack/v6stack/stack"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The JSON is what programs read: it does not change unawares.
func TestSnapshotJSON(t *testing.T) {
	source := example()
	full := control.NewSnapshot(source.stats, self, now)
	full.Flows = control.NewFlows(source.Flows(), source.stats)
	for name, snapshot := range map[string]control.Snapshot{
		"full":  full,
		"empty": control.NewSnapshot(stack.Stats{}, self, now),
	} {
		abridge(&snapshot)
		got, err := json.MarshalIndent(snapshot, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		file := "testdata/" + name + ".json"
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what comes out, which -update writes:\n%s", file, got)
		}
	}
}

// abridge keeps some drops only: other tests see that all are there.
func abridge(s *control.Snapshot) {
	others := func(reason string, _ uint64) bool {
		return !slices.Contains([]string{"denied", "filtered", "timed-out", "overlap"}, reason)
	}
	for _, link := range s.Links {
		maps.DeleteFunc(link.Drops, others)
	}
	for _, zone := range s.Zones {
		maps.DeleteFunc(zone.Drops, others)
	}
}

// Flows that were asked for and are not there are a list; those that were not
// asked for are not there.
func TestNoFlows(t *testing.T) {
	for _, test := range []struct {
		flows []control.Flow
		want  bool
	}{
		{nil, false},
		{control.NewFlows(fixture{}.Flows(), stack.Stats{}), true},
	} {
		got, err := json.Marshal(control.Snapshot{Flows: test.flows})
		if err != nil || bytes.Contains(got, []byte(`"flows":[]`)) != test.want {
			t.Errorf("%#v: %s, error %v", test.flows, got, err)
		}
	}
}

// Snapshots leave no reason out.
func TestDropsAreComplete(t *testing.T) {
	s := control.NewSnapshot(example().stats, self, now)
	for verdict := range defrag.NumVerdicts {
		n, ok := s.Zones[1].Drops[verdict.String()]
		if ok != verdict.IsDrop() || ok && n != 300+uint64(verdict) {
			t.Errorf("zone: %v counts %d, there: %v", verdict, n, ok)
		}
	}
	for reason := range stack.NumDropReasons {
		if n := s.Links[0].Drops[reason.String()]; n != 200+uint64(reason) {
			t.Errorf("link: %v counts %d", reason, n)
		}
	}
}

// Every fragment is accounted for: received is held, atomic, dropped or joined.
func TestReceived(t *testing.T) {
	zone := control.NewSnapshot(example().stats, self, now).Zones[1]
	sum := zone.Fragments + zone.Atomic + zone.Joined
	for _, n := range zone.Drops {
		sum += n
	}
	// The fixture says that packets were Held, which the engine never does.
	if sum += 300 + uint64(defrag.Held); zone.Received != sum {
		t.Errorf("received %d, want %d", zone.Received, sum)
	}
}

// Reasons of the router and of the endpoint have names of their own, and none
// is lost.
func TestLinkDrops(t *testing.T) {
	stats := stack.LinkStats{Link: linkep.Stats{Filtered: 1, NeighborDiscovery: 1, Hidden: 1, BadChecksum: 1, Detached: 1}}
	for reason := range stats.Drops {
		stats.Drops[reason] = 1
	}
	seen := make(map[string]bool)
	for reason, n := range control.LinkDrops(&stats) {
		if seen[reason] || n != 1 {
			t.Errorf("reason %q counts %d, seen before: %v", reason, n, seen[reason])
		}
		seen[reason] = true
	}
	if want := int(stack.NumDropReasons) + 5; len(seen) != want {
		t.Errorf("%d reasons, want %d", len(seen), want)
	}
}
