package oracle_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/v6stack/v6stack/internal/oracle"
)

func TestSequenceReadsWhatItWrites(t *testing.T) {
	for _, want := range oracle.Directed() {
		got, err := oracle.ReadSequence(strings.NewReader(want.String()))
		if err != nil {
			t.Fatalf("%s: %v", want.Name, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read back otherwise", want.Name)
		}
	}
}

func TestReadSequenceNamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"# name\n60zz\n":       "line 2: packet",
		"high much\n":          `line 1: high threshold "much"`,
		"# n\n\n6000\nhigh 1x": `line 4: high threshold "1x"`,
	} {
		if _, err := oracle.ReadSequence(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

func TestShrink(t *testing.T) {
	s := &oracle.Sequence{Name: "numbers"}
	for i := range 50 {
		s.Packets = append(s.Packets, []byte{byte(i)})
	}
	has := func(s *oracle.Sequence, number byte) bool {
		for _, p := range s.Packets {
			if p[0] == number {
				return true
			}
		}
		return false
	}
	got := s.Shrink(1000, func(s *oracle.Sequence) bool { return has(s, 3) && has(s, 31) && has(s, 49) })
	want := [][]byte{{3}, {31}, {49}}
	if !reflect.DeepEqual(got.Packets, want) {
		t.Errorf("shrunk to %v, want %v", got.Packets, want)
	}
	asked := 0
	s.Shrink(7, func(*oracle.Sequence) bool { asked++; return false })
	if asked != 7 {
		t.Errorf("asked %d times, want 7", asked)
	}
}

// TestGenerate draws the same again, and something of everything.
func TestGenerate(t *testing.T) {
	seen := make(map[string]bool)
	for number := range uint64(600) {
		s, again := oracle.Generate(3, number), oracle.Generate(3, number)
		if !reflect.DeepEqual(s, again) {
			t.Fatalf("sequence %d is not the same when drawn again", number)
		}
		if len(s.Packets) == 0 {
			t.Errorf("sequence %d is empty", number)
		}
		for _, p := range s.Packets {
			if len(p) == 0 || p[0]>>4 != 6 {
				t.Errorf("sequence %d (%s): no IPv6 packet: %x", number, s.Name, p)
			}
		}
		seen[s.Name] = true
	}
	if len(seen) != 7 {
		t.Errorf("families drawn: %v", seen)
	}
	if a, b := oracle.Generate(3, 1), oracle.Generate(4, 1); bytes.Equal(a.Packets[0], b.Packets[0]) {
		t.Error("two seeds draw the same")
	}
}
