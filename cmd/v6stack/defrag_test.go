package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/v6stack/v6stack/internal/wire"
)

var defragHosts = wire.Header{Source: netip.MustParseAddr("2001:db8::1"), Destination: netip.MustParseAddr("2001:db8::2")}

// pcapOf returns a raw little-endian capture of packets a second apart.
func pcapOf(packets ...[]byte) []byte {
	file := []byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x65\x00\x00\x00")
	for i, p := range packets {
		file = append(file, pcapRecordOf(uint32(i), p)...)
	}
	return file
}

// pcapRecordOf returns one packet of such a capture.
func pcapRecordOf(second uint32, packet []byte) []byte {
	var record []byte
	for _, v := range []uint32{second, 0, uint32(len(packet)), uint32(len(packet))} {
		record = binary.LittleEndian.AppendUint32(record, v)
	}
	return append(record, packet...)
}

// echoFragments returns an echo request, whole and in two fragments.
func echoFragments() (whole []byte, fragments [][]byte) {
	message := defragHosts.Echo(1, 2, wire.Payload(2000))
	return defragHosts.Packet(wire.ICMPv6, message), defragHosts.Split(5, wire.ICMPv6, message, 1448)
}

// A defragRun is what one execution of the command left.
type defragRun struct {
	status         int
	stdout, stderr string
}

// runDefragCommand executes v6stack defrag in this process.
func runDefragCommand(t *testing.T, stdin io.Reader, args ...string) defragRun {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := execute(t.Context(), append([]string{"defrag"}, args...), streams{stdin, &stdout, &stderr})
	return defragRun{status, stdout.String(), stderr.String()}
}

// written writes a file into a directory of the test and returns its path.
func written(t *testing.T, name string, octets []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, octets, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mustHold fails unless the file at path holds want.
func mustHold(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s holds %d octets\n%x\nwant %d\n%x", path, len(got), got, len(want), want)
	}
}

func TestDefragFiles(t *testing.T) {
	whole, fragments := echoFragments()
	in := written(t, "in", pcapOf(fragments[0], fragments[1], fragments[1]))
	out := written(t, "out", bytes.Repeat([]byte("old contents"), 1000))
	run := runDefragCommand(t, nil, in, out)
	if run.status != exitOK || run.stderr != "" {
		t.Fatalf("exit %d: %s", run.status, run.stderr)
	}
	mustHold(t, out, append(pcapOf(), pcapRecordOf(1, whole)...))
	want := `Fragments that completed no datagram:
    packet  reason                 fragment
         3  flushed                2001:db8::1 > 2001:db8::2 id 0x5 (560@1448)

         3  packets read
         1  datagrams reassembled
         2    fragments in them
         0  atomic fragments, now without a Fragment header
         1  fragments left out
         1    flushed
         0  ICMPv6 errors that a node would have sent
         1  packets written
`
	if run.stdout != want {
		t.Errorf("report\n%s\nwant\n%s", run.stdout, want)
	}
}

func TestDefragPipe(t *testing.T) {
	whole, fragments := echoFragments()
	run := runDefragCommand(t, bytes.NewReader(pcapOf(fragments[1], fragments[0])), "-", "-")
	if run.status != exitOK || run.stdout != string(append(pcapOf(), pcapRecordOf(1, whole)...)) {
		t.Errorf("exit %d, standard output %x", run.status, run.stdout)
	}
	if !strings.Contains(run.stderr, "1  datagrams reassembled") {
		t.Errorf("standard error %q: want the counts", run.stderr)
	}
}

func TestDefragErrorsFile(t *testing.T) {
	whole, fragments := echoFragments()
	in := written(t, "in", append(pcapOf(fragments[0]), pcapRecordOf(30, whole)...))
	errorsPath := filepath.Join(t.TempDir(), "errors")
	run := runDefragCommand(t, nil, "--errors", errorsPath, "--frag-timeout", "2s", in, filepath.Join(t.TempDir(), "out"))
	if run.status != exitOK || !strings.Contains(run.stdout, "timed-out") || !strings.Contains(run.stdout, ", ICMPv6 3/1") {
		t.Errorf("exit %d: %s%s", run.status, run.stdout, run.stderr)
	}
	octets, err := os.ReadFile(errorsPath)
	if err != nil || len(octets) != 24+16+1280 {
		t.Errorf("%d octets of errors, %v: want one of 1280", len(octets), err)
	}
}

func TestDefragJSON(t *testing.T) {
	_, fragments := echoFragments()
	for name, c := range map[string]struct {
		packets [][]byte
		drops   int
		dropped map[string]int
	}{
		"nothing lost": {fragments, 0, map[string]int{}},
		"two lost":     {[][]byte{fragments[0], fragments[0]}, 2, map[string]int{"duplicate": 1, "flushed": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			run := runDefragCommand(t, bytes.NewReader(pcapOf(c.packets...)), "--json", "-", os.DevNull)
			var report struct {
				Drops []struct {
					Packet                 int
					Reason, Source         string
					Identification, Offset *int
					More                   *bool
				}
				Packets   int
				Dropped   map[string]int
				Datagrams int
			}
			if err := json.Unmarshal([]byte(run.stdout), &report); err != nil || run.status != exitOK {
				t.Fatalf("exit %d, %v: %s%s", run.status, err, run.stdout, run.stderr)
			}
			if len(report.Drops) != c.drops || report.Packets != 2 || len(report.Dropped) != len(c.dropped) {
				t.Errorf("report %s", run.stdout)
			}
			for reason, n := range c.dropped {
				if report.Dropped[reason] != n {
					t.Errorf("%d dropped as %s, want %d", report.Dropped[reason], reason, n)
				}
			}
			for _, drop := range report.Drops {
				if drop.Source != "2001:db8::1" || *drop.Identification != 5 || *drop.Offset != 0 || !*drop.More {
					t.Errorf("drop %+v", drop)
				}
			}
		})
	}
}

// TestDefragUsage refuses bad usage and writes nothing.
func TestDefragUsage(t *testing.T) {
	_, fragments := echoFragments()
	contents := pcapOf(fragments...)
	in, out := written(t, "in", contents), written(t, "out", []byte("kept"))
	linked := filepath.Join(t.TempDir(), "linked")
	if err := os.Link(in, linked); err != nil {
		t.Fatal(err)
	}
	symbolic := filepath.Join(t.TempDir(), "symbolic")
	if err := os.Symlink(in, symbolic); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "fresh")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no arguments":       {nil, "0 arguments: want IN and OUT"},
		"one argument":       {[]string{in}, "1 arguments: want IN and OUT"},
		"three arguments":    {[]string{in, out, out}, "3 arguments"},
		"unknown flag":       {[]string{"--fragments", in, out}, "--fragments"},
		"policy":             {[]string{"--overlap", "first", in, out}, "want rfc8200, rfc5722 or linux"},
		"zone":               {[]string{"--zone", "port", in, out}, "want none, interface or vlan"},
		"timeout 0":          {[]string{"--frag-timeout", "0s", in, out}, "want a duration above 0"},
		"timeout negative":   {[]string{"--frag-timeout", "-1s", in, out}, "want a duration above 0"},
		"timeout no unit":    {[]string{"--frag-timeout", "5", in, out}, "want a duration above 0"},
		"high 0":             {[]string{"--frag-high", "0", in, out}, "--frag-high 0: want more than 0"},
		"high, unit":         {[]string{"--frag-high", "4MB", in, out}, "KiB, MiB or GiB"},
		"low 0":              {[]string{"--frag-low", "0", in, out}, "want 0 < low ≤ high"},
		"low above high":     {[]string{"--frag-low", "2MiB", "--frag-high", "1MiB", in, out}, "--frag-low 2MiB with --frag-high 1MiB: want 0 < low ≤ high"},
		"OUT is IN":          {[]string{in, in}, "are the same file"},
		"OUT is IN, linked":  {[]string{in, linked}, "are the same file"},
		"OUT is IN, by name": {[]string{in, symbolic}, "are the same file"},
		"errors is IN":       {[]string{"--errors", symbolic, in, out}, "are the same file"},
		"errors is OUT":      {[]string{"--errors", out, in, out}, "are the same file"},
		"errors is OUT, new": {[]string{"--errors", filepath.Dir(fresh) + "/./fresh", in, fresh}, "are the same file"},
		"errors to output":   {[]string{"--errors", "-", in, out}, "--errors -: want a file"},
	} {
		t.Run(name, func(t *testing.T) {
			run := runDefragCommand(t, nil, c.args...)
			if run.status != exitUsage || !strings.Contains(run.stderr, c.want) || run.stdout != "" {
				t.Errorf("exit %d, %q: want 2 with %q", run.status, run.stderr, c.want)
			}
			mustHold(t, in, contents)
			mustHold(t, out, []byte("kept"))
			if _, err := os.Stat(fresh); err == nil {
				t.Error("a file was made")
			}
		})
	}
}

// TestDefragFailures exits 1, and leaves OUT alone unless IN began well.
func TestDefragFailures(t *testing.T) {
	whole, fragments := echoFragments()
	sound := pcapOf(whole, fragments[0])
	cut := append(bytes.Clone(sound), pcapRecordOf(2, whole)[:100]...)
	none := filepath.Join(t.TempDir(), "none", "file")
	for name, c := range map[string]struct {
		in   []byte // written to IN, unless nil
		args []string
		want string
		out  []byte
	}{
		"no IN":          {nil, nil, "no such file", []byte("kept")},
		"not a capture":  {[]byte("text"), nil, "want a pcap or pcapng capture", []byte("kept")},
		"empty":          {[]byte{}, nil, "want a pcap or pcapng capture", []byte("kept")},
		"half a header":  {sound[:12], nil, "12 of 24 octets", []byte("kept")},
		"no errors file": {sound, []string{"--errors", none}, "no such file", []byte("kept")},
		"damaged":        {cut, nil, "packet 3, at byte offset 3600", pcapOf(whole)},
	} {
		t.Run(name, func(t *testing.T) {
			in := none
			if c.in != nil {
				in = written(t, "in", c.in)
			}
			out := written(t, "out", []byte("kept"))
			run := runDefragCommand(t, nil, append(c.args, in, out)...)
			if run.status != exitFailure || !strings.Contains(run.stderr, c.want) {
				t.Errorf("exit %d, %q: want 1 with %q", run.status, run.stderr, c.want)
			}
			mustHold(t, out, c.out)
		})
	}
}

// TestDefragFull reports that OUT or the errors cannot be written.
func TestDefragFull(t *testing.T) {
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no device that is always full: %v", err)
	}
	_, fragments := echoFragments()
	in := written(t, "in", pcapOf(fragments...))
	for _, args := range [][]string{{in, full}, {"--errors", full, in, os.DevNull}} {
		run := runDefragCommand(t, nil, args...)
		if run.status != exitFailure || !strings.Contains(run.stderr, "write "+full) {
			t.Errorf("exit %d: %s", run.status, run.stderr)
		}
	}
}

// TestDefragDamageReport reports on what was read, and says why no more was.
func TestDefragDamageReport(t *testing.T) {
	_, fragments := echoFragments()
	cut := append(pcapOf(fragments[0]), 1, 2, 3)
	run := runDefragCommand(t, bytes.NewReader(cut), "--json", "-", os.DevNull)
	var report struct {
		Drops []struct{ Packet int }
		Error string
	}
	if err := json.Unmarshal([]byte(run.stdout), &report); err != nil {
		t.Fatalf("%v: %s", err, run.stdout)
	}
	if run.status != exitFailure || len(report.Drops) != 1 || !strings.Contains(report.Error, "packet 2, at byte offset 1536") {
		t.Errorf("exit %d: %s", run.status, run.stdout)
	}
	if !strings.Contains(run.stderr, "-: packet 2") {
		t.Errorf("standard error %q", run.stderr)
	}
}

// TestDefragReportUnwritten is a failure: the list is part of the result.
func TestDefragReportUnwritten(t *testing.T) {
	_, fragments := echoFragments()
	var stderr bytes.Buffer
	for _, args := range [][]string{{"-", os.DevNull}, {"--json", "-", os.DevNull}} {
		stdin := bytes.NewReader(pcapOf(fragments[0]))
		status := execute(t.Context(), append([]string{"defrag"}, args...), streams{stdin, brokenWriter{}, &stderr})
		if status != exitFailure || !strings.Contains(stderr.String(), "write report: io: read/write on closed pipe") {
			t.Errorf("exit %d: %s", status, stderr.String())
		}
	}
}

// A brokenWriter cannot be written to.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestDefragProgress shows how far it came now and then, and cleans up.
func TestDefragProgress(t *testing.T) {
	var terminal bytes.Buffer
	now := time.Unix(0, 0)
	p := newProgress(strings.NewReader(strings.Repeat("x", 3<<20)), &terminal)
	p.terminal, p.total = &terminal, 4<<20
	p.now = func() time.Time { now = now.Add(150 * time.Millisecond); return now }
	p.last = now
	buffer := make([]byte, 1<<20)
	report := p.below(&terminal)
	for range 3 {
		if _, err := p.Read(buffer); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(report, "line\n"); err != nil {
		t.Fatal(err)
	}
	p.clear()
	p.total = 0
	p.show()
	want := "\r\x1b[K2.0 of 4.0 MiB (50 %)" + "\r\x1b[Kline\n" + "\r\x1b[K3.0 MiB"
	if terminal.String() != want {
		t.Errorf("terminal shows %q\nwant %q", terminal.String(), want)
	}
}

// TestDefragReportPlace keeps the report apart from OUT.
func TestDefragReportPlace(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	same, err := os.OpenFile(file.Name(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer same.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var stderr bytes.Buffer
	for name, c := range map[string]struct {
		path        string
		out, stdout io.Writer
		want        io.Writer
	}{
		"standard output":            {"-", file, file, &stderr},
		"standard output, by name":   {"/dev/stdout", same, file, &stderr},
		"another file":               {"x", null, file, file},
		"both /dev/null":             {os.DevNull, null, null, null},
		"standard output is no file": {"x", null, io.Discard, io.Discard},
	} {
		f := defragFiles{paths: defragPaths{out: c.path}, out: c.out}
		if got := f.reportTo(c.stdout, &stderr); got != c.want {
			t.Errorf("%s: report goes to the wrong place", name)
		}
	}
}
