package e2e

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/oracle"
)

var (
	kernelSequences = flag.Int("kernel.sequences", 2000, "random `sequences` to compare with the kernel")
	kernelSeed      = flag.Uint64("kernel.seed", 1, "`seed` of the random sequences")
	kernelReplay    = flag.String("kernel.replay", "", "compare the one sequence in `file`, as a failure prints it, and show what comes out")
)

// TestKernel feeds the same packets to the live kernel's nf_defrag_ipv6 and to
// engines of both policies, and compares what comes out upon each. Whatever is
// not the same must fall under a row of docs/BEHAVIOUR.md, and each row must
// have been met.
func TestKernel(t *testing.T) {
	live, err := oracle.OpenLive()
	if err != nil {
		missing(t, "the kernel's defragmentation: %v", err)
	}
	defer live.Close()
	c := &comparison{live: live, sides: []*side{
		newSide(t, "policy linux", defrag.Linux, oracle.Linux, oracle.LinuxRows()),
		newSide(t, "default policy", defrag.RFC8200, oracle.RFC8200, oracle.DefaultRows()),
	}}
	if *kernelReplay != "" {
		c.replay(t, *kernelReplay)
		return
	}
	for _, s := range oracle.Directed() {
		c.compare(t, s)
	}
	for number := range *kernelSequences {
		c.compare(t, oracle.Generate(*kernelSeed, uint64(number)))
	}
	c.report(t)
}

// A comparison counts what it compared.
type comparison struct {
	live                            *oracle.Live
	sides                           []*side
	sequences, packets, differences int
}

// A side is one policy: an engine of it, the rules that the policy follows,
// and the rows that say where the kernel does otherwise.
type side struct {
	name    string
	subject *oracle.Subject
	rules   oracle.Rule
	rows    []oracle.Row
	// met counts the sequences that met a row.
	met map[string]int
}

func newSide(t *testing.T, name string, policy defrag.Policy, rules oracle.Rule, rows []oracle.Row) *side {
	subject, err := oracle.NewSubject(policy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(subject.Close)
	return &side{name: name, subject: subject, rules: rules, rows: rows, met: make(map[string]int)}
}

// compare runs one sequence everywhere. A sequence that fails is printed, and
// again as short as it still fails.
func (c *comparison) compare(t *testing.T, s *oracle.Sequence) {
	c.sequences++
	c.packets += len(s.Packets)
	defer func() {
		if failure := recover(); failure != nil {
			t.Logf("sequence %d ends in a panic:\n%v", c.sequences-1, s)
			panic(failure)
		}
	}()
	complaint := c.judge(s, true)
	if complaint == "" {
		return
	}
	c.differences++
	if c.differences > 5 {
		return
	}
	shrunk := s.Shrink(500, func(s *oracle.Sequence) bool { return c.judge(s, false) != "" })
	t.Errorf("sequence %d fails: %s\n%v\nshrunk: %s\n%v", c.sequences-1, complaint, brief(s), c.judge(shrunk, false), shrunk)
}

// brief returns the sequence, or its start if it is long.
func brief(s *oracle.Sequence) string {
	const most = 1 << 14
	text := s.String()
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// judge returns what is wrong with the sequence, "" for nothing. count says
// that the rows met are counted.
func (c *comparison) judge(s *oracle.Sequence, count bool) string {
	kernel, err := c.live.Run(s)
	if err != nil {
		return fmt.Sprintf("kernel: %v", err)
	}
	if at := oracle.FirstDifference(kernel, oracle.Run(s, oracle.Kernel)); at >= 0 {
		return fmt.Sprintf("the kernel is not as the model says, packet %d:\nkernel %x\nmodel  %x", at, kernel[at], oracle.Run(s, oracle.Kernel)[at])
	}
	for _, side := range c.sides {
		if complaint := side.judge(s, kernel, count); complaint != "" {
			return side.name + ": " + complaint
		}
	}
	return ""
}

// judge compares what came out of the kernel with what comes out of the
// side's engine.
func (d *side) judge(s *oracle.Sequence, kernel [][]byte, count bool) string {
	outputs, err := d.subject.Run(s)
	if err != nil {
		return err.Error()
	}
	want := oracle.Run(s, d.rules)
	if at := oracle.FirstDifference(outputs, want); at >= 0 {
		return fmt.Sprintf("packet %d:\nengine %x\nmodel  %x\nkernel %x", at, outputs[at], want[at], kernel[at])
	}
	at := oracle.FirstDifference(kernel, outputs)
	if at < 0 {
		return ""
	}
	rows, ok := oracle.Explain(s, kernel, d.rules, d.rows)
	if !ok {
		return fmt.Sprintf("no row accounts for packet %d:\nkernel %x\nengine %x", at, kernel[at], outputs[at])
	}
	if count {
		for _, r := range rows {
			d.met[r.ID]++
		}
	}
	return ""
}

// report logs the counts, and holds them against docs/BEHAVIOUR.md.
func (c *comparison) report(t *testing.T) {
	t.Logf("%d sequences of %d packets compared (seed %d), %d differences", c.sequences, c.packets, *kernelSeed, c.differences)
	tables := readDifferences(t)
	for _, d := range c.sides {
		var counts []string
		for _, r := range d.rows {
			counts = append(counts, fmt.Sprintf("%s %d", r.ID, d.met[r.ID]))
			if d.met[r.ID] == 0 {
				t.Errorf("%s: no sequence met row %s", d.name, r.ID)
			}
		}
		t.Logf("%s, sequences by accepted deviation: %s", d.name, strings.Join(counts, ", "))
		documented, enforced := tables[d.name], ids(d.rows)
		if !slices.Equal(documented, enforced) {
			t.Errorf("%s: docs/BEHAVIOUR.md has rows %v, the comparison knows %v", d.name, documented, enforced)
		}
	}
}

func ids(rows []oracle.Row) []string {
	var list []string
	for _, r := range rows {
		list = append(list, r.ID)
	}
	return list
}

// replay compares the sequence in a file and shows what comes out.
func (c *comparison) replay(t *testing.T, path string) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := oracle.ReadSequence(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	kernel, err := c.live.Run(s)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range s.Packets {
		t.Logf("packet %d: %x\nkernel: %x", i, p, kernel[i])
	}
	for _, d := range c.sides {
		outputs, err := d.subject.Run(s)
		if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		for i := range outputs {
			t.Logf("packet %d, %s: %x", i, d.name, outputs[i])
		}
	}
	c.compare(t, s)
}
