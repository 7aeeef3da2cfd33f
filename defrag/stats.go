package defrag

// Counts are counters of one zone, or of all. Every packet gathered is counted
// once it has met its final verdict:
//
//	sum of Packets == packets gathered - Fragments still held
type Counts struct {
	// Packets by final verdict. Packets[Held] is always 0;
	// Packets[Reassembled] counts the fragments of reassembled datagrams.
	Packets [NumVerdicts]uint64
	// Datagrams reassembled, atomic fragments not included.
	Datagrams uint64
	// Queues, Fragments and Bytes of truesize held now.
	Queues, Fragments, Bytes uint64
}

// ZoneStats is a snapshot of one zone.
type ZoneStats struct {
	Zone Zone
	// Config in force.
	Config ZoneConfig
	Counts
}

// Stats is a snapshot of an engine.
type Stats struct {
	// Total of all zones, those forgotten included.
	Total Counts
	// Zones known now, by ascending Zone.
	Zones []ZoneStats
}
