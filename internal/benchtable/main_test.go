package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	const in = `goos: linux
BenchmarkReassembly/v6stack/fragments=2/in-order-2  100  20 ns/op  0 allocs/fragment  10.0 ns/fragment
BenchmarkReassembly/v6stack/fragments=2/in-order-2  100  20 ns/op  0 allocs/fragment  30.0 ns/fragment
BenchmarkReassembly/v6stack/fragments=2/in-order-2  100  20 ns/op  0 allocs/fragment  20.0 ns/fragment
BenchmarkReassembly/gvisor/fragments=2/in-order-2   100  90 ns/op  8 allocs/fragment  45.0 ns/fragment
BenchmarkReassembly/clone/fragments=2-2  100  5 ns/op  5.0 ns/fragment
BenchmarkOther-2  100  5 ns/op
PASS
`
	const want = `| case | v6stack ns/fragment | gvisor | ratio |
|---|---:|---:|---:|
| Reassembly fragments=2, in-order | 20.0 | 45.0 | 2.2× |
`
	var out strings.Builder
	if err := run(strings.NewReader(in), &out, "ns/fragment"); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	if err := run(strings.NewReader(in), &out, "ns/fortnight"); err == nil {
		t.Error("a metric that no benchmark has is no error")
	}
}
