package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// check prints the example as the golden file has it. Only the network
// namespaces may be missing, which is a warning.
func TestCheckExample(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "check.golden"))
	if err != nil {
		t.Fatal(err)
	}
	got := executed(t.Context(), "check", "../../examples/router.toml")
	if got.status != exitOK || got.stdout != string(want) {
		t.Errorf("status %d, output\n%s\nwant\n%s", got.status, got.stdout, want)
	}
	for line := range strings.Lines(got.stderr) {
		if !strings.HasPrefix(line, "../../examples/router.toml:") || !strings.Contains(line, ": warning: netns = ") {
			t.Errorf("it says %q", line)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		text   string
		status int
		stdout []string
		stderr string // FILE stands for the file
	}{
		{
			text:   "[[link]]\nname = \"alone\"\naddresses = [\"fe80::1/64\"]\n",
			stdout: []string{"FILE: 1 link, 1 zone, 0 routes, 0 rules\n", "alone  default  1500  auto     on       auto    -      fe80::1/64  -", "off\n"},
		},
		{
			text:   "[[link]]\nname = \"alone\"\nbackend = \"native\"\noffload = false\nqueues = 2\n",
			stdout: []string{"alone  default  1500  native   off      2       -      -"},
		},
		{
			text: "[[link]]\nname = \"a\"\nnetns = './absent'\ncheck_source = true\n[[rule]]\nprotocol = 132\nfrom = \"link:a\"\naction = \"allow\"\nstateful = false\n",
			stdout: []string{
				"FILE: 1 link, 1 zone, 0 routes, 1 rule\n", "on\n",
				"1     -     allow   link:a  any  132       any     any          -      false\n",
			},
			stderr: "FILE:3:9: warning: netns = './absent': no such network namespace: ./absent does not exist\n",
		},
		{
			text:   "[[link]]\nname = \"a\"\nmtu = 1\nmut = 2\n",
			status: exitUsage,
			stderr: "FILE:3:7: mtu = 1: want a whole number from 1280 to 65535\n" +
				"FILE:4:1: unknown key mut in [[link]]: want one of name, netns, host_addresses, host_routes, addresses, mtu, backend, offload, queues, zone, check_source, icmp_errors\n",
		},
	} {
		file := filepath.Join(t.TempDir(), "router.toml")
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := executed(t.Context(), "check", file)
		if want := strings.ReplaceAll(test.stderr, "FILE", file); got.status != test.status || got.stderr != want {
			t.Errorf("status %d, errors\n%s\nwant %d,\n%s", got.status, got.stderr, test.status, want)
		}
		for _, want := range test.stdout {
			if want = strings.ReplaceAll(want, "FILE", file); !strings.Contains(got.stdout, want) {
				t.Errorf("no %q in\n%s", want, got.stdout)
			}
		}
		if len(test.stdout) == 0 && got.stdout != "" {
			t.Errorf("output %q", got.stdout)
		}
		if test.status != exitOK {
			if run := executed(t.Context(), "run", "--config", file); run != got {
				t.Errorf("run: %+v, check: %+v", run, got)
			}
		}
	}
}

// Bad usage of what reads files.
func TestFileUsage(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent.toml")
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"check"}, []string{"0 arguments", "one FILE"}},
		{[]string{"check", "a", "b"}, []string{"2 arguments", `"a"`, `"b"`, "one FILE"}},
		{[]string{"check", "--nonsense"}, []string{"--nonsense"}},
		{[]string{"check", absent}, []string{absent}},
		{[]string{"check", t.TempDir()}, []string{"is a directory"}},
		{[]string{"run", "--config", absent}, []string{absent}},
		{[]string{"run", "--config", ""}, []string{"configuration", "open"}},
		{[]string{"run", "--config"}, []string{"--config"}},
		{[]string{"run", "--config", absent, "--tun", "x"}, []string{"--config", absent, "--tun", "one or the other"}},
		{[]string{"run", "--config", absent, "--addr=fd00::1/64", "--echo=7", "--pcap=x"}, []string{"--addr, --echo, --pcap"}},
		{[]string{"run", "--config", absent, "--frag-high=1MiB"}, []string{"--frag-high"}},
	} {
		got := executed(t.Context(), test.args...)
		if got.status != exitUsage || got.stdout != "" {
			t.Errorf("%q: status %d, output %q; want %d and none", test.args, got.status, got.stdout, exitUsage)
		}
		for _, want := range append(test.want, "--help' for usage") {
			if !strings.Contains(got.stderr, want) {
				t.Errorf("%q: message %q does not name %q", test.args, got.stderr, want)
			}
		}
	}
}
