// Command benchtable reads the output of go test -bench on standard input and
// prints a Markdown table: for each case the median of ours, of its peers, and
// the ratio. Benchmarks are named Name/IMPLEMENTATION/CASE; ours is v6stack.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const ours = "v6stack"

func main() {
	metric := "ns/fragment"
	if len(os.Args) > 1 {
		metric = os.Args[1]
	}
	if err := run(os.Stdin, os.Stdout, metric); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

// results holds the samples of each case by implementation.
type results struct {
	cases   []string // in order of appearance
	samples map[string]map[string][]float64
	peers   []string
}

var processors = regexp.MustCompile(`-\d+$`)

// run copies the table of one metric from in to out.
func run(in io.Reader, out io.Writer, metric string) error {
	r := results{samples: make(map[string]map[string][]float64)}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		r.read(lines.Text(), metric)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if len(r.cases) == 0 {
		return fmt.Errorf("no benchmark with the metric %s", metric)
	}
	r.write(out, metric)
	return nil
}

// read takes one line of output in.
func (r *results) read(line, metric string) {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(processors.ReplaceAllString(fields[0], ""), "Benchmark"), "/")
	implementation, one, found := strings.Cut(rest, "/")
	if !found {
		return
	}
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil || fields[i+1] != metric {
			continue
		}
		r.add(name+" "+strings.ReplaceAll(one, "/", ", "), implementation, value)
	}
}

// add records one sample.
func (r *results) add(one, implementation string, value float64) {
	if r.samples[one] == nil {
		r.samples[one] = make(map[string][]float64)
		r.cases = append(r.cases, one)
	}
	r.samples[one][implementation] = append(r.samples[one][implementation], value)
	if implementation != ours && !slices.Contains(r.peers, implementation) {
		r.peers = append(r.peers, implementation)
	}
}

// write prints the table. Cases and implementations that ours has no part in
// are left out.
func (r *results) write(out io.Writer, metric string) {
	cases := slices.DeleteFunc(r.cases, func(one string) bool { return len(r.samples[one][ours]) == 0 })
	peers := slices.DeleteFunc(r.peers, func(peer string) bool {
		return !slices.ContainsFunc(cases, func(one string) bool { return len(r.samples[one][peer]) > 0 })
	})
	fmt.Fprintf(out, "| case | %s %s |", ours, metric)
	for _, peer := range peers {
		fmt.Fprintf(out, " %s | ratio |", peer)
	}
	fmt.Fprintf(out, "\n|---|---:|%s\n", strings.Repeat("---:|---:|", len(peers)))
	for _, one := range cases {
		own := median(r.samples[one][ours])
		fmt.Fprintf(out, "| %s | %s |", one, figure(own))
		for _, peer := range peers {
			theirs := median(r.samples[one][peer])
			fmt.Fprintf(out, " %s | %.1f× |", figure(theirs), theirs/own)
		}
		fmt.Fprintln(out)
	}
}

// figure returns a value with as many digits as mean something.
func figure(value float64) string {
	switch {
	case value < 1:
		return fmt.Sprintf("%.3f", value)
	case value < 100:
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.0f", value)
}

// median returns the middle of the samples, or 0 where there is none.
func median(samples []float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	slices.Sort(samples)
	return samples[len(samples)/2]
}
