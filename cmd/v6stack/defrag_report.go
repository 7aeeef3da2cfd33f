package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/capture"
)

// A defragReport lists fragments as they are lost, and counts at the end.
type defragReport interface {
	loss(l *capture.Loss)
	// end finishes the report. failure is why the work ended early, or nil.
	// The error is the first that writing met.
	end(counts *capture.Counts, failure error) error
}

// newDefragReport returns a report, as a table or in JSON.
func newDefragReport(asJSON bool, w io.Writer) defragReport {
	if asJSON {
		return &jsonReport{sticky: stickyWriter{w: w}}
	}
	return &tableReport{sticky: stickyWriter{w: w}}
}

// A stickyWriter writes until the first error, which it keeps.
type stickyWriter struct {
	w   io.Writer
	err error
}

// printf writes a formatted piece of a report.
func (s *stickyWriter) printf(format string, args ...any) {
	if s.err != nil {
		return
	}
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		s.err = fmt.Errorf("write report: %w", err)
	}
}

// A tableReport is for the eye.
type tableReport struct {
	sticky stickyWriter
	listed bool
}

func (t *tableReport) loss(l *capture.Loss) {
	if !t.listed {
		t.listed = true
		t.sticky.printf("Fragments that completed no datagram:\n%10s  %-21s  %s\n", "packet", "reason", "fragment")
	}
	t.sticky.printf("%10d  %-21v", l.Packet, l.Reason)
	if l.Source.IsValid() {
		t.sticky.printf("  %v > %v", l.Source, l.Destination)
	}
	if l.Known {
		more := ""
		if l.Fragment.More {
			more = "+"
		}
		t.sticky.printf(" id %#x (%d@%d%s)", l.Fragment.Identification, l.Fragment.Length, l.Fragment.Offset, more)
	}
	if l.Error != (defrag.ICMPError{}) {
		t.sticky.printf(", ICMPv6 %d/%d", l.Error.Type, l.Error.Code)
	}
	t.sticky.printf("\n")
}

func (t *tableReport) end(counts *capture.Counts, _ error) error {
	if t.listed {
		t.sticky.printf("\n")
	}
	row := func(n uint64, what string) { t.sticky.printf("%10d  %s\n", n, what) }
	row(counts.Packets, "packets read")
	if counts.Foreign > 0 {
		row(counts.Foreign, "  of link types that are not looked into")
	}
	row(counts.Datagrams, "datagrams reassembled")
	row(counts.Joined, "  fragments in them")
	row(counts.Atomic, "atomic fragments, now without a Fragment header")
	row(counts.Losses(), "fragments left out")
	for verdict, n := range counts.Dropped {
		if n > 0 {
			row(n, "  "+defrag.Verdict(verdict).String())
		}
	}
	row(counts.Errors, "ICMPv6 errors that a node would have sent")
	row(counts.Written, "packets written")
	return t.sticky.err
}

// A jsonReport is one JSON object; docs/DEFRAG.md lists its members.
type jsonReport struct {
	sticky stickyWriter
	listed bool
}

// jsonLoss is one element of "drops".
type jsonLoss struct {
	Packet         uint64  `json:"packet"`
	Reason         string  `json:"reason"`
	Source         string  `json:"source,omitempty"`
	Destination    string  `json:"destination,omitempty"`
	Identification *uint32 `json:"identification,omitempty"`
	Offset         *int    `json:"offset,omitempty"`
	Length         *int    `json:"length,omitempty"`
	More           *bool   `json:"more,omitempty"`
	ICMPv6         string  `json:"icmpv6,omitempty"`
}

// jsonCounts are the members behind "drops".
type jsonCounts struct {
	Packets   uint64            `json:"packets"`
	Foreign   uint64            `json:"other_link_types"`
	Datagrams uint64            `json:"datagrams"`
	Joined    uint64            `json:"fragments_joined"`
	Atomic    uint64            `json:"atomic_fragments"`
	Losses    uint64            `json:"fragments_dropped"`
	Dropped   map[string]uint64 `json:"dropped"`
	Errors    uint64            `json:"icmpv6_errors"`
	Written   uint64            `json:"packets_written"`
	Failure   string            `json:"error,omitempty"`
}

func (j *jsonReport) loss(l *capture.Loss) {
	element := jsonLoss{Packet: l.Packet, Reason: l.Reason.String()}
	if l.Source.IsValid() {
		element.Source, element.Destination = l.Source.String(), l.Destination.String()
	}
	if l.Known {
		f := l.Fragment
		element.Identification, element.Offset, element.Length, element.More = &f.Identification, &f.Offset, &f.Length, &f.More
	}
	if l.Error != (defrag.ICMPError{}) {
		element.ICMPv6 = fmt.Sprintf("%d/%d", l.Error.Type, l.Error.Code)
	}
	separator := ",\n"
	if !j.listed {
		j.listed, separator = true, "{\"drops\":[\n"
	}
	j.sticky.printf("%s%s", separator, j.marshal(element))
}

func (j *jsonReport) end(counts *capture.Counts, failure error) error {
	if !j.listed {
		j.sticky.printf("{\"drops\":[")
	}
	members := jsonCounts{
		Packets: counts.Packets, Foreign: counts.Foreign, Datagrams: counts.Datagrams, Joined: counts.Joined,
		Atomic: counts.Atomic, Losses: counts.Losses(), Dropped: map[string]uint64{},
		Errors: counts.Errors, Written: counts.Written,
	}
	for verdict, n := range counts.Dropped {
		if n > 0 {
			members.Dropped[defrag.Verdict(verdict).String()] = n
		}
	}
	if failure != nil {
		members.Failure = failure.Error()
	}
	// The members follow the list in the same object.
	j.sticky.printf("],\n%s\n", j.marshal(members)[1:])
	return j.sticky.err
}

// marshal returns v in JSON; the types here always have one.
func (j *jsonReport) marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil && j.sticky.err == nil {
		j.sticky.err = fmt.Errorf("write report: %w", err)
	}
	return text
}
