package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// The picture of a demonstration in memory.
func TestDemoInMemory(t *testing.T) {
	var out bytes.Buffer
	if err := demonstrate(t.Context(), memoryStage(t), newPainter(&out)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"in memory, without the kernel",
		"fragment  1  offset     0  length  1448  M=1",
		"fragment  5  offset  5792  length  1448  M=1",
		"fragment  6  offset  7240  length   768  M=0",
		"length  8008",
		"ping 1: 6 fragments in, 1 datagram up, 6 fragments out",
		"ping 3: 6 fragments in, 1 datagram up, 6 fragments out",
		"8,000 bytes came back, each as it was sent",
		"3 of 3 pings",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("colours, and no terminal:\n%q", out.String())
	}
	inOrder(t, out.String(), "▶", "fragment  6", "●", "datagram", "◀", "fragment  6", "✔", "ping 1", "ping 2", "ping 3")
}

// inOrder fails unless text holds the parts one after the other.
func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			t.Fatalf("no %q where it should be in\n%s", part, text)
		}
		rest = after
	}
}

func memoryStage(t *testing.T) *stage {
	t.Helper()
	s, err := newMemoryStage()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A damagedConn changes the messages it receives.
type damagedConn struct {
	net.PacketConn
	damage func(message []byte) int // returns the message's new length
}

func (d damagedConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := d.PacketConn.ReadFrom(b)
	if err == nil {
		n = d.damage(b[:n])
	}
	return n, from, err
}

// One octet is enough to fail.
func TestDemoDamaged(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(message []byte) int
		want   string
	}{
		{"last octet", func(m []byte) int { m[len(m)-1] ^= 1; return len(m) }, "byte 7,999 is 0x"},
		{"first octet", func(m []byte) int { m[8] ^= 0x80; return len(m) }, "byte 0 is 0x"},
		{"cut short", func(m []byte) int { return len(m) - 1 }, "7,999 bytes came back, not 8,000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := memoryStage(t)
			s.conn = damagedConn{s.conn, test.damage}
			var out bytes.Buffer
			err := demonstrate(t.Context(), s, newPainter(&out))
			if err == nil || exitStatus(err) != exitFailure || !strings.Contains(err.Error(), "3 of 3 replies") {
				t.Errorf("error %v, want 3 of 3 replies damaged", err)
			}
			if !strings.Contains(out.String(), "FAILED: "+test.want) || !strings.Contains(out.String(), "0 of 3") {
				t.Errorf("no %q in\n%s", test.want, out.String())
			}
		})
	}
}

// A reply that never comes fails when the time is over.
func TestDemoLost(t *testing.T) {
	s := memoryStage(t)
	s.conn = damagedConn{s.conn, func(m []byte) int { m[0] = 0; return len(m) }} // no echo reply
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	err := demonstrate(ctx, s, newPainter(&out))
	if exitStatus(err) != exitFailure || !strings.Contains(out.String(), "FAILED: no reply") {
		t.Errorf("error %v, picture\n%s", err, out.String())
	}
}

// A full disk is not a success.
func TestDemoNotWritten(t *testing.T) {
	fault := errors.New("disk full")
	if err := demonstrate(t.Context(), memoryStage(t), newPainter(failingWriter{fault})); !errors.Is(err, fault) {
		t.Errorf("error %v, want %v", err, fault)
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

// The demonstration succeeds on any system, as it can.
func TestDemo(t *testing.T) {
	got := executed(t.Context(), "demo")
	if got.status != exitOK || !strings.Contains(got.stdout, "3 of 3 pings") || got.stderr != "" {
		t.Errorf("status %d, errors %q, picture\n%s", got.status, got.stderr, got.stdout)
	}
	kernel := strings.Contains(got.stdout, "this machine's kernel pings")
	memory := strings.Contains(got.stdout, "the kernel cannot take part: ") && strings.Contains(got.stdout, "in memory")
	if kernel == memory {
		t.Errorf("neither the kernel nor memory, or both:\n%s", got.stdout)
	}
	required := executed(t.Context(), "demo", "--require-kernel")
	if kernel != (required.status == exitOK) || memory != (required.status == exitFailure) {
		t.Errorf("with the kernel required: status %d, errors %q; without: kernel %v", required.status, required.stderr, kernel)
	}
	if memory && !strings.Contains(required.stderr, "the kernel cannot take part: ") {
		t.Errorf("no reason in %q", required.stderr)
	}
}

func TestColours(t *testing.T) {
	var out bytes.Buffer
	p := newPainter(&out)
	p.coloured = true
	p.printf(green, "\ngood\n")
	p.printf(plain, "plain\n")
	if got, want := out.String(), "\n\x1b[1;32mgood\x1b[0m\nplain\n"; got != want {
		t.Errorf("painted %q, want %q", got, want)
	}
}

func TestBar(t *testing.T) {
	for _, test := range []struct {
		offset, length, total int
		want                  string
	}{
		{0, 0, 0, ""},
		{0, 100, 100, strings.Repeat("█", 24)},
		{0, 50, 100, strings.Repeat("█", 12) + strings.Repeat("·", 12)},
		{50, 50, 100, strings.Repeat("·", 12) + strings.Repeat("█", 12)},
		{99, 1, 100, strings.Repeat("·", 23) + "█"},
		{0, 1, 65535, "█" + strings.Repeat("·", 23)},
	} {
		if got := bar(test.offset, test.length, test.total); got != test.want {
			t.Errorf("bar(%d, %d, %d) = %s, want %s", test.offset, test.length, test.total, got, test.want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 65535: "65,535", 1002003: "1,002,003"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %s, want %s", n, got, want)
		}
	}
}
