package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/v6stack/v6stack/internal/control"
)

// exampleStatus returns a snapshot of a router that has seen much.
func exampleStatus() *control.Snapshot {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &control.Snapshot{
		Version: "v1.2.3",
		Started: began,
		Taken:   began.Add(90*time.Minute + time.Second/3),
		Links: []control.Link{
			{
				Name: "left", Zone: "red", Up: true, MTU: 1500, Addresses: []string{"2001:db8:a::ff/64", "fe80::ff/64"},
				Received: control.Traffic{Packets: 11, Octets: 1100}, Sent: control.Traffic{Packets: 12, Octets: 3 << 20},
				ForwardedFrom: control.Traffic{Packets: 13, Octets: 5 << 40}, ForwardedTo: control.Traffic{Packets: 14, Octets: 1023},
				Drops:      map[string]uint64{"no-route": 2, "denied": 30, "filtered": 2, "detached": 0},
				ICMPErrors: control.ICMPErrors{Sent: 1, Suppressed: 2, Limited: 3, Failed: 4},
			},
			{Name: "right", Zone: "default", MTU: 9000, Drops: map[string]uint64{"no-route": 0}},
		},
		Zones: []control.Zone{
			{Name: "default", Overlap: "rfc8200", Timeout: 60, Memory: control.Memory{High: 4 << 20, Low: 3 << 20}},
			{
				Name: "red", Overlap: "linux", Timeout: 1.5, Queues: 5, Fragments: 6,
				Memory:   control.Memory{Octets: 7000, High: 1 << 20, Low: 768 << 10},
				Received: 100, Atomic: 8, Joined: 9, Reassembled: 3,
				Drops: map[string]uint64{"timed-out": 71, "overlap": 6},
			},
		},
		Filter: &control.Filter{
			Rules: []control.Rule{
				{Number: 1, Name: "dns", Action: "allow", Traffic: control.Traffic{Packets: 41, Octets: 4100}},
				{Number: 2, Action: "reject", Traffic: control.Traffic{Packets: 42, Octets: 42}},
			},
			DefaultAllowed: control.Traffic{Packets: 43, Octets: 43},
			DefaultDenied:  control.Traffic{Packets: 44, Octets: 44},
			FlowErrors:     control.Traffic{Packets: 45, Octets: 45},
			FlowTable:      control.FlowTable{Live: 2, Max: 65536, Opened: 12, Expired: 7, Evicted: 2, Revoked: 1},
		},
		Flows: []control.Flow{
			{FromZone: "red", ToZone: "default", Protocol: "icmpv6", Source: "2001:db8:a::1", Destination: "2001:db8:b::1",
				Identifier: 7, State: "echo", Age: 0.24, Expires: 29.97, There: control.Traffic{Packets: 1, Octets: 104}},
			{FromZone: "red", ToZone: "default", Protocol: "udp", Source: "[2001:db8:a::1]:5353", Destination: "[2001:db8:b::1]:53",
				State: "stream", Rule: 1, Age: 100, Expires: 119,
				There: control.Traffic{Packets: 20, Octets: 2000}, Back: control.Traffic{Packets: 21, Octets: 2100}},
		},
	}
}

const exampleText = `v6stack v1.2.3, up 1h30m0s

LINK   ZONE     STATE  MTU   RECEIVED      SENT          FORWARDED FROM  FORWARDED TO  DROPPED  ERRORS SENT  NOT SENT  ADDRESSES
left   red      up     1500  11 (1.1 KiB)  12 (3.0 MiB)  13 (5.0 TiB)    14 (1023 B)   34       1            9         2001:db8:a::ff/64,fe80::ff/64
right  default  down   9000  0 (0 B)       0 (0 B)       0 (0 B)         0 (0 B)       0        0            0         -

ZONE     QUEUES  FRAGMENTS  MEMORY   LOW        HIGH     TIMEOUT  OVERLAP  RECEIVED  ATOMIC  DATAGRAMS  DROPPED
default  0       0          0 B      3.0 MiB    4.0 MiB  1m0s     rfc8200  0         0       0          0
red      5       6          6.8 KiB  768.0 KiB  1.0 MiB  1.5s     linux    100       8       3          77

DROPPED    REASON     PACKETS
link left  denied     30
link left  filtered   2
link left  no-route   2
zone red   timed-out  71
zone red   overlap    6

RULE  NAME                       ACTION  PACKETS  OCTETS
1     dns                        allow   41       4.0 KiB
2     -                          reject  42       42 B
-     no rule, within a zone     allow   43       43 B
-     no rule, between zones     deny    44       44 B
-     ICMPv6 errors about flows  allow   45       45 B

FLOWS  OF AT MOST  OPENED  EXPIRED  EVICTED  REVOKED
2      65536       12      7        2        1

PROTOCOL  FROM  SOURCE                TO       DESTINATION         STATE   RULE  AGE    EXPIRES  THERE         BACK
udp       red   [2001:db8:a::1]:5353  default  [2001:db8:b::1]:53  stream  1     1m40s  1m59s    20 (2.0 KiB)  21 (2.1 KiB)
icmpv6    red   2001:db8:a::1         default  2001:db8:b::1       echo    -     200ms  30s      1 (104 B)     0 (0 B)
`

func TestPrintStatus(t *testing.T) {
	var got strings.Builder
	if err := printStatus(&got, exampleStatus()); err != nil {
		t.Fatal(err)
	}
	if got.String() != exampleText {
		t.Errorf("got\n%s\nwant\n%s", got.String(), exampleText)
	}
	got.Reset()
	if err := printStatus(&got, &control.Snapshot{Version: "v1.2.3"}); err != nil {
		t.Fatal(err)
	}
	for _, absent := range []string{"RULE", "FLOWS", "PROTOCOL", "REASON"} {
		if strings.Contains(got.String(), absent) {
			t.Errorf("%q is printed about nothing:\n%s", absent, got.String())
		}
	}
	if !strings.Contains(got.String(), "Nothing was dropped.") {
		t.Errorf("it is not said that nothing was dropped:\n%s", got.String())
	}
}

func TestOctets(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1024.0 KiB", 1 << 20: "1.0 MiB",
		1 << 30: "1.0 GiB", 1 << 60: "1.0 EiB", 1<<64 - 1: "16.0 EiB",
	} {
		if got := octets(n); got != want {
			t.Errorf("%d octets are %q, want %q", n, got, want)
		}
	}
}

// Bad usage is told as TestBadUsage has it.
func TestStatusBadUsage(t *testing.T) {
	long := "/" + strings.Repeat("x", 200)
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"status", "nonsense"}, []string{`"nonsense"`}},
		{[]string{"status", "--watch", "2s"}, []string{`"2s"`, "--watch=2s"}},
		{[]string{"status", "--nonsense"}, []string{"--nonsense", "--json", "--watch", "--flows", "--control"}},
		{[]string{"status", "--watch=0"}, []string{"--watch", `"0"`, "100ms"}},
		{[]string{"status", "--watch=99ms"}, []string{"--watch", `"99ms"`, "100ms"}},
		{[]string{"status", "--watch=-1s"}, []string{"--watch", `"-1s"`, "100ms"}},
		{[]string{"status", "--watch=often"}, []string{"--watch", `"often"`, "2s"}},
		{[]string{"status", "--json=perhaps"}, []string{"--json", "perhaps"}},
		{[]string{"status", "--control", ""}, []string{"--control", "empty", "file name"}},
		{[]string{"status", "--control", long}, []string{"--control", long, "too long"}},
		{[]string{"run", "--control", long}, []string{"--control", long, "too long"}},
		{[]string{"run", "--control", ""}, []string{"--control", "empty"}},
		{[]string{"run", "--metrics", "9100"}, []string{"--metrics", `"9100"`, ":9100"}},
		{[]string{"run", "--metrics", ":99999"}, []string{"--metrics", `":99999"`, "65535"}},
		{[]string{"run", "--metrics", ""}, []string{"--metrics", `""`, ":9100"}},
	} {
		got := executed(t.Context(), test.args...)
		if got.status != exitUsage || got.stdout != "" || strings.Count(got.stderr, "\n") != 2 {
			t.Errorf("%q: %+v, want status %d and two lines of errors", test.args, got, exitUsage)
		}
		for _, want := range test.want {
			if !strings.Contains(got.stderr, want) {
				t.Errorf("%q: message %q does not name %q", test.args, got.stderr, want)
			}
		}
	}
}

// Without anybody to ask the message names the path and the status is 1.
func TestStatusWithoutServer(t *testing.T) {
	path := filepath.Join(shortFolder(t), "absent.sock")
	for _, args := range [][]string{{}, {"--json"}, {"--watch"}, {"--watch=100ms", "--json"}} {
		got := executed(t.Context(), append([]string{"status", "--control=" + path}, args...)...)
		if got.status != exitFailure || got.stdout != "" || !strings.Contains(got.stderr, path) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%q: %+v, want status %d and a line that names %s", args, got, exitFailure, path)
		}
	}
	t.Setenv("XDG_RUNTIME_DIR", filepath.Dir(path))
	want := filepath.Join(filepath.Dir(path), "v6stack.sock")
	if got := executed(t.Context(), "status"); got.status != exitFailure || !strings.Contains(got.stderr, want) {
		t.Errorf("%+v: want a message that names %s", got, want)
	}
}

// shortFolder returns a folder whose name leaves room for a socket's.
func shortFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "v6")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

// followed returns what --watch writes to w at three ticks.
func followed(t *testing.T, flags *statusFlags, w io.Writer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ticks, ended := make(chan time.Time), make(chan error, 1)
	flags.watch = intervalFlag(time.Second)
	go func() { ended <- flags.follow(ctx, ticks, w) }()
	for range 2 {
		select {
		case ticks <- time.Time{}:
		case err := <-ended:
			t.Fatalf("ended early: %v", err)
		}
	}
	// The last is interrupted before it is shown, or behind.
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

// In a pipe one answer stands below the other.
func TestStatusWatch(t *testing.T) {
	o := startObserved(t)
	var text bytes.Buffer
	followed(t, &statusFlags{control: socketFlag{path: o.path}}, &text)
	pages := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n\nv6stack ")
	if len(pages) != 2 && len(pages) != 3 {
		t.Errorf("%d pages, want 2 or 3:\n%s", len(pages), text.String())
	}
	var lines bytes.Buffer
	followed(t, &statusFlags{control: socketFlag{path: o.path}, json: true}, &lines)
	shown := strings.Split(strings.TrimSuffix(lines.String(), "\n"), "\n")
	if len(shown) != 2 && len(shown) != 3 {
		t.Errorf("%d lines, want 2 or 3:\n%s", len(shown), lines.String())
	}
	for _, line := range shown {
		var snapshot control.Snapshot
		if err := json.Unmarshal([]byte(line), &snapshot); err != nil || len(snapshot.Links) != 1 {
			t.Errorf("line %q: error %v", line, err)
		}
	}
	if all := text.String() + lines.String(); strings.Contains(all, "\x1b") {
		t.Errorf("terminal controls in a pipe:\n%q", all)
	}
}

// A server that ends is an error, not an end.
func TestStatusWatchServerEnds(t *testing.T) {
	o := startObserved(t)
	flags := statusFlags{control: socketFlag{path: o.path}, watch: intervalFlag(time.Second)}
	ticks, ended := make(chan time.Time), make(chan error, 1)
	var text lockedBuffer
	go func() { ended <- flags.follow(t.Context(), ticks, &text) }()
	ticks <- time.Time{}
	o.end()
	// The second answer may have come before the end; the third cannot.
	select {
	case ticks <- time.Time{}:
	case err := <-ended:
		ended <- err
	}
	if err := <-ended; exitStatus(err) != exitFailure || !strings.Contains(err.Error(), o.path) {
		t.Errorf("error %v, want one that names %s", err, o.path)
	}
}

// On a terminal each page is put over the one before.
func TestOverwriting(t *testing.T) {
	for first, want := range map[bool]string{
		true:  "\x1b[2J\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J",
		false: "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J",
	} {
		if got := string(overwriting([]byte("a\nb\n"), first)); got != want {
			t.Errorf("first %v: %q, want %q", first, got, want)
		}
	}
}
