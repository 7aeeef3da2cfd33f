package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
)

// A lockedBuffer is a buffer that may be read while it is written.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// Bad usage: status 2, nothing on standard output, and a message that names
// the flag or argument, the value and what is allowed.
func TestBadUsage(t *testing.T) {
	const addr = "--addr=fd00:6::2/64"
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"nonsense"}, []string{`"nonsense"`, "defrag", "demo", "run", "version"}},
		{[]string{"--nonsense"}, []string{"--nonsense", "--help", "--version"}},
		{[]string{"help", "nonsense"}, []string{`"nonsense"`, "demo", "run"}},
		{[]string{"version", "nonsense"}, []string{`"nonsense"`}},
		{[]string{"completion", "bash", "nonsense"}, []string{`"nonsense"`}},
		{[]string{"demo", "nonsense"}, []string{`"nonsense"`}},
		{[]string{"demo", "--nonsense"}, []string{"--nonsense", "--require-kernel"}},
		{[]string{"demo", "--require-kernel=perhaps"}, []string{"--require-kernel", "perhaps"}},

		{[]string{"run"}, []string{"--addr", "fd00:6::2/64"}},
		{[]string{"run", "nonsense"}, []string{`"nonsense"`}},
		{[]string{"run", "--nonsense"}, []string{"--nonsense", "--addr", "--mtu", "--pcap"}},
		{[]string{"run", "-x"}, []string{"'x'", "--addr"}},
		{[]string{"run", "--addr"}, []string{"--addr"}},
		{[]string{"run", "--addr", "fd00:6::2"}, []string{"--addr", `"fd00:6::2"`, "prefix length", "fd00:6::1/64"}},
		{[]string{"run", "--addr", "fd00:6::2/129"}, []string{"--addr", `"fd00:6::2/129"`, "fd00:6::1/64"}},
		{[]string{"run", "--addr", "192.0.2.1/24"}, []string{"--addr", `"192.0.2.1/24"`, "IPv6"}},
		{[]string{"run", "--addr", "::ffff:192.0.2.1/120"}, []string{"--addr", `"::ffff:192.0.2.1/120"`, "IPv6"}},
		{[]string{"run", "--addr", "fe80::1%eth0/64"}, []string{"--addr", `"fe80::1%eth0/64"`}},
		{[]string{"run", "--host-addr", "fd00:6::1"}, []string{"--host-addr", `"fd00:6::1"`, "prefix length"}},
		{[]string{"run", "--host-addr", "192.0.2.1/24"}, []string{"--host-addr", `"192.0.2.1/24"`, "IPv6"}},
		{[]string{"run", "--host-route", "192.0.2.0/24"}, []string{"--host-route", `"192.0.2.0/24"`, "IPv6"}},
		{[]string{"run", "--host-route", "nonsense"}, []string{"--host-route", `"nonsense"`, "IPv6"}},
		{[]string{"run", addr, "--mtu", "1279"}, []string{"--mtu", `"1279"`, "1280", "65535"}},
		{[]string{"run", addr, "--mtu", "65536"}, []string{"--mtu", `"65536"`, "1280", "65535"}},
		{[]string{"run", addr, "--mtu", "big"}, []string{"--mtu", `"big"`, "1280", "65535"}},
		{[]string{"run", addr, "--echo", "0"}, []string{"--echo", `"0"`, "1", "65535"}},
		{[]string{"run", addr, "--echo", "65536"}, []string{"--echo", `"65536"`, "1", "65535"}},
		{[]string{"run", addr, "--echo", "-1"}, []string{"--echo", `"-1"`, "1", "65535"}},
		{[]string{"run", addr, "--echo", "echo"}, []string{"--echo", `"echo"`, "1", "65535"}},
		{[]string{"run", addr, "--frag-timeout", "0"}, []string{"--frag-timeout", `"0"`, "above 0"}},
		{[]string{"run", addr, "--frag-timeout", "-1s"}, []string{"--frag-timeout", `"-1s"`, "above 0"}},
		{[]string{"run", addr, "--frag-timeout", "60"}, []string{"--frag-timeout", `"60"`, "60s"}},
		{[]string{"run", addr, "--overlap", "bsd"}, []string{"--overlap", `"bsd"`, "rfc8200", "rfc5722", "linux"}},
		{[]string{"run", addr, "--backend", "wgtun"}, []string{"--backend", `"wgtun"`, "native", "water"}},
		{[]string{"run", addr, "--offload", "perhaps"}, []string{"--offload", `"perhaps"`, "on or off"}},
		{[]string{"run", addr, "--offload="}, []string{"--offload", `""`, "on or off"}},
		{[]string{"run", addr, "--queues", "-1"}, []string{"--queues", `"-1"`, "0", "16"}},
		{[]string{"run", addr, "--queues", "17"}, []string{"--queues", `"17"`, "0", "16"}},
		{[]string{"run", addr, "--queues", "all"}, []string{"--queues", `"all"`, "0", "16"}},
		{[]string{"run", addr, "--queues", "2", "--backend", "water"}, []string{"--queues 2", "--backend water", "0 or 1"}},
		{[]string{"run", addr, "--frag-low", "5MiB"}, []string{"--frag-low 5MiB", "--frag-high 4MiB", "low ≤ high"}},
		{[]string{"run", addr, "--frag-high", "1KiB", "--frag-low", "1025"}, []string{"--frag-low 1025", "--frag-high 1KiB", "low ≤ high"}},
		{[]string{"run", addr, "--frag-high", "0"}, []string{"--frag-high 0", "more than 0"}},
		{[]string{"run", addr, "--frag-high", "1MB"}, []string{"--frag-high", `"1MB"`, "KiB", "MiB", "GiB"}},
		{[]string{"run", addr, "--frag-low", "-1"}, []string{"--frag-low", `"-1"`, "KiB"}},
		{[]string{"run", addr, "--frag-low", "18446744073709551616"}, []string{"--frag-low", "18446744073709551616", "2^64"}},
		{[]string{"run", addr, "--no-icmp-errors=perhaps"}, []string{"--no-icmp-errors", "perhaps"}},
		{[]string{"run", addr, "--tun", "much-too-long-a-name"}, []string{"--tun", "much-too-long-a-name", "15"}},
		{[]string{"run", addr, "--tun", "a/b"}, []string{"--tun", "a/b", "slash"}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			got := executed(t.Context(), test.args...)
			if got.status != exitUsage || got.stdout != "" {
				t.Errorf("status %d, output %q; want %d and none", got.status, got.stdout, exitUsage)
			}
			for _, want := range append(test.want, "--help' for usage") {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("message %q does not name %q", got.stderr, want)
				}
			}
			if lines := strings.Count(got.stderr, "\n"); lines != 2 {
				t.Errorf("message of %d lines, want 2:\n%s", lines, got.stderr)
			}
		})
	}
}

func TestGoodUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"Usage:", "demo", "run", "v6stack demo"}},
		{[]string{"--help"}, []string{"Usage:", "demo", "run"}},
		{[]string{"help"}, []string{"Usage:"}},
		{[]string{"help", "run"}, []string{"--host-addr", "--frag-timeout", "1m0s", "4MiB", "3MiB", "Examples:"}},
		{[]string{"run", "--help"}, []string{"--netns", "--echo", "rfc8200", "1500", "--offload on|off", "(default on)", "--queues"}},
		{[]string{"demo", "--help"}, []string{"--require-kernel"}},
		{[]string{"help", "completion", "bash"}, []string{"bash"}},
		{[]string{"completion", "bash"}, []string{"v6stack"}},
		{[]string{"completion", "zsh"}, []string{"v6stack"}},
		{[]string{"completion", "fish"}, []string{"v6stack"}},
		{[]string{"completion", "powershell"}, []string{"v6stack"}},
		{[]string{"version"}, []string{"v6stack ", "gvisor  v0.0.0-", "go      go1."}},
		{[]string{"--version"}, []string{"v6stack version "}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			got := executed(t.Context(), test.args...)
			if got.status != exitOK || got.stderr != "" {
				t.Errorf("status %d, errors %q; want 0 and none", got.status, got.stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("no %q in\n%s", want, got.stdout)
				}
			}
			if strings.Contains(got.stdout, insideFlag) {
				t.Errorf("the hidden flag shows:\n%s", got.stdout)
			}
		})
	}
}

func TestSizeFlag(t *testing.T) {
	for _, test := range []struct {
		text   string
		octets uint64 // if there is a string
		string string // nothing if text is refused
	}{
		{"0", 0, "0"},
		{"1", 1, "1"},
		{"1023", 1023, "1023"},
		{"1024", 1024, "1KiB"},
		{"1KiB", 1 << 10, "1KiB"},
		{"3MiB", 3 << 20, "3MiB"},
		{"3072KiB", 3 << 20, "3MiB"},
		{"4 GiB", 4 << 30, "4GiB"},
		{"17179869183GiB", 17179869183 << 30, "17179869183GiB"},
		{"18446744073709551615", 1<<64 - 1, "18446744073709551615"},
		{"17179869184GiB", 0, ""},
		{"18446744073709551616", 0, ""},
		{"", 0, ""},
		{"KiB", 0, ""},
		{"-1", 0, ""},
		{"+1", 0, ""},
		{"1.5MiB", 0, ""},
		{"1kB", 0, ""},
		{"1M", 0, ""},
		{"0x10", 0, ""},
	} {
		var size sizeFlag = 7
		err := size.Set(test.text)
		switch {
		case test.string == "" && err == nil:
			t.Errorf("%q is taken for %v", test.text, &size)
		case test.string == "" && size != 7:
			t.Errorf("%q, which is refused, leaves %v", test.text, &size)
		case test.string != "" && (err != nil || uint64(size) != test.octets || size.String() != test.string):
			t.Errorf("%q is %d, %v, error %v; want %d, %s", test.text, uint64(size), &size, err, test.octets, test.string)
		}
	}
}
