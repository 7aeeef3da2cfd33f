package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/v6stack/v6stack/internal/control"
)

// printStatus prints a snapshot as tables.
func printStatus(w io.Writer, s *control.Snapshot) error {
	fmt.Fprintf(w, "v6stack %s, up %v\n", s.Version, s.Taken.Sub(s.Started).Round(time.Second))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	printLinkStatus(t, s.Links)
	printZoneStatus(t, s.Zones)
	printDrops(t, s)
	if s.Filter != nil {
		printFilter(t, s.Filter)
	}
	if s.Flows != nil {
		printFlows(t, s.Flows)
	}
	return t.Flush()
}

func printLinkStatus(w io.Writer, links []control.Link) {
	fmt.Fprint(w, "\nLINK\tZONE\tSTATE\tMTU\tRECEIVED\tSENT\tFORWARDED FROM\tFORWARDED TO\tDROPPED\tERRORS SENT\tNOT SENT\tADDRESSES\n")
	for i := range links {
		l := &links[i]
		state := "up"
		if !l.Up {
			state = "down"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", l.Name, l.Zone, state, l.MTU,
			traffic(l.Received), traffic(l.Sent), traffic(l.ForwardedFrom), traffic(l.ForwardedTo), sum(l.Drops),
			l.ICMPErrors.Sent, l.ICMPErrors.Suppressed+l.ICMPErrors.Limited+l.ICMPErrors.Failed, list(l.Addresses))
	}
}

func printZoneStatus(w io.Writer, zones []control.Zone) {
	fmt.Fprint(w, "\nZONE\tQUEUES\tFRAGMENTS\tMEMORY\tLOW\tHIGH\tTIMEOUT\tOVERLAP\tRECEIVED\tATOMIC\tDATAGRAMS\tDROPPED\n")
	for i := range zones {
		z := &zones[i]
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%v\t%s\t%d\t%d\t%d\t%d\n", z.Name, z.Queues, z.Fragments,
			octets(z.Memory.Octets), octets(z.Memory.Low), octets(z.Memory.High), seconds(z.Timeout), z.Overlap,
			z.Received, z.Atomic, z.Reassembled, sum(z.Drops))
	}
}

// A dropCount is how often something was dropped somewhere for a reason.
type dropCount struct {
	where, reason string
	n             uint64
}

// printDrops prints what was dropped, at each place the most frequent first.
func printDrops(w io.Writer, s *control.Snapshot) {
	var counts []dropCount
	for i := range s.Links {
		counts = append(counts, dropsOf("link "+s.Links[i].Name, s.Links[i].Drops)...)
	}
	for i := range s.Zones {
		counts = append(counts, dropsOf("zone "+s.Zones[i].Name, s.Zones[i].Drops)...)
	}
	if len(counts) == 0 {
		fmt.Fprint(w, "\nNothing was dropped.\n")
		return
	}
	fmt.Fprint(w, "\nDROPPED\tREASON\tPACKETS\n")
	for _, c := range counts {
		fmt.Fprintf(w, "%s\t%s\t%d\n", c.where, c.reason, c.n)
	}
}

// dropsOf returns the reasons that something was dropped for.
func dropsOf(where string, drops map[string]uint64) []dropCount {
	var counts []dropCount
	for reason, n := range drops {
		if n > 0 {
			counts = append(counts, dropCount{where, reason, n})
		}
	}
	slices.SortFunc(counts, func(a, b dropCount) int {
		return cmp.Or(cmp.Compare(b.n, a.n), strings.Compare(a.reason, b.reason))
	})
	return counts
}

func printFilter(w io.Writer, f *control.Filter) {
	fmt.Fprint(w, "\nRULE\tNAME\tACTION\tPACKETS\tOCTETS\n")
	for _, r := range f.Rules {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\n", r.Number, cmp.Or(r.Name, "-"), r.Action, r.Packets, octets(r.Octets))
	}
	for _, other := range []struct {
		name, action string
		control.Traffic
	}{
		{"no rule, within a zone", "allow", f.DefaultAllowed},
		{"no rule, between zones", "deny", f.DefaultDenied},
		{"ICMPv6 errors about flows", "allow", f.FlowErrors},
	} {
		fmt.Fprintf(w, "-\t%s\t%s\t%d\t%s\n", other.name, other.action, other.Packets, octets(other.Octets))
	}
	t := &f.FlowTable
	fmt.Fprint(w, "\nFLOWS\tOF AT MOST\tOPENED\tEXPIRED\tEVICTED\tREVOKED\n")
	fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\n", t.Live, t.Max, t.Opened, t.Expired, t.Evicted, t.Revoked)
}

// printFlows prints the flows, those with most traffic first.
func printFlows(w io.Writer, flows []control.Flow) {
	flows = slices.Clone(flows)
	slices.SortFunc(flows, func(a, b control.Flow) int {
		return cmp.Or(
			cmp.Compare(b.There.Octets+b.Back.Octets, a.There.Octets+a.Back.Octets),
			strings.Compare(a.Source, b.Source), strings.Compare(a.Destination, b.Destination),
			cmp.Compare(a.Identifier, b.Identifier), strings.Compare(a.Protocol, b.Protocol))
	})
	fmt.Fprint(w, "\nPROTOCOL\tFROM\tSOURCE\tTO\tDESTINATION\tSTATE\tRULE\tAGE\tEXPIRES\tTHERE\tBACK\n")
	for i := range flows {
		f := &flows[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%v\t%v\t%s\t%s\n", f.Protocol, f.FromZone, f.Source, f.ToZone, f.Destination,
			f.State, limit(f.Rule), seconds(f.Age), seconds(f.Expires), traffic(f.There), traffic(f.Back))
	}
}

// sum returns all drops together.
func sum(drops map[string]uint64) (n uint64) {
	for _, more := range drops {
		n += more
	}
	return n
}

// traffic returns packets, and their octets in brackets.
func traffic(t control.Traffic) string {
	return fmt.Sprintf("%d (%s)", t.Packets, octets(t.Octets))
}

// octets returns a number of octets in a unit that leaves few digits.
func octets(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	value, units := float64(n)/(1<<10), "KMGTPE"
	for value >= 1<<10 && len(units) > 1 {
		value, units = value/(1<<10), units[1:]
	}
	return fmt.Sprintf("%.1f %ciB", value, units[0])
}

// seconds returns a time as durations are written, to the tenth of a second.
func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Second / 10)
}
