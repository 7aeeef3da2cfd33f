package oracle

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A Sequence is a run of packets to compare. The zero value is empty.
type Sequence struct {
	// Name says what the sequence tries.
	Name string
	// High is the kernel's high threshold in octets; 0 means one that is never
	// met.
	High int
	// Packets in the order of their arrival.
	Packets [][]byte
}

// String returns the sequence as [ReadSequence] reads it: a line for the name,
// one for the threshold if there is one, and one in hexadecimal for each
// packet.
func (s *Sequence) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", s.Name)
	if s.High != 0 {
		fmt.Fprintf(&b, "high %d\n", s.High)
	}
	for _, p := range s.Packets {
		fmt.Fprintf(&b, "%x\n", p)
	}
	return b.String()
}

// ReadSequence reads what [Sequence.String] writes. The error names the line
// at fault.
func ReadSequence(r io.Reader) (*Sequence, error) {
	s := &Sequence{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		if err := s.readLine(strings.TrimSpace(lines.Text())); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return s, lines.Err()
}

func (s *Sequence) readLine(line string) error {
	if name, ok := strings.CutPrefix(line, "#"); ok {
		s.Name = strings.TrimSpace(name)
		return nil
	}
	if high, ok := strings.CutPrefix(line, "high "); ok {
		octets, err := strconv.Atoi(high)
		if err != nil {
			return fmt.Errorf("high threshold %q: want a number of octets", high)
		}
		s.High = octets
		return nil
	}
	packet, err := hex.DecodeString(line)
	if err != nil {
		return fmt.Errorf("packet: %w", err)
	}
	if len(packet) > 0 {
		s.Packets = append(s.Packets, packet)
	}
	return nil
}

// Shrink returns the shortest sequence it finds, by leaving packets out of s,
// that still fails, as fails reports. It asks at most limit times.
func (s *Sequence) Shrink(limit int, fails func(*Sequence) bool) *Sequence {
	best := s
	for size := len(s.Packets) / 2; size > 0; size /= 2 {
		for at := 0; at < len(best.Packets) && limit > 0; limit-- {
			shorter := best.without(at, size)
			if fails(shorter) {
				best = shorter
			} else {
				at += size
			}
		}
	}
	return best
}

// without returns s less count packets from at on.
func (s *Sequence) without(at, count int) *Sequence {
	end := min(at+count, len(s.Packets))
	shorter := *s
	shorter.Packets = append(append([][]byte(nil), s.Packets[:at]...), s.Packets[end:]...)
	return &shorter
}
