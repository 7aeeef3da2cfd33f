package capture

import (
	"fmt"

	"github.com/v6stack/v6stack/defrag"
)

// A Zoning says which packets of a capture may complete each other. The zero
// value is [OneZone].
type Zoning uint8

const (
	// OneZone: all of them.
	OneZone Zoning = iota
	// ByInterface: those of one interface, as pcapng and SLL2 name it.
	ByInterface
	// ByVLAN: those with the same VLAN identifiers; none is one of its own.
	ByVLAN
)

var zoningNames = [...]string{OneZone: "none", ByInterface: "interface", ByVLAN: "vlan"}

// String returns the name as [ParseZoning] reads it.
func (z Zoning) String() string {
	if int(z) < len(zoningNames) {
		return zoningNames[z]
	}
	return fmt.Sprintf("Zoning(%d)", uint8(z))
}

// ParseZoning returns the zoning of that name: none, interface or vlan.
func ParseZoning(name string) (Zoning, error) {
	for z, n := range zoningNames {
		if n == name {
			return Zoning(z), nil
		}
	}
	return 0, fmt.Errorf("zone %q: want none, interface or vlan", name)
}

// zone returns the zone of a packet.
func (z Zoning) zone(rec *Record, l *link) defrag.Zone {
	switch z {
	case ByInterface:
		return defrag.Zone(rec.Interface)<<32 | defrag.Zone(l.index)
	case ByVLAN:
		return defrag.Zone(l.vlan)
	}
	return 0
}

// linkNumber folds interface and VLAN of a packet into what tells links apart
// for link-local and multicast destinations (RFC 4007 section 6).
func linkNumber(rec *Record, l *link) uint32 {
	const odd = 0x9e3779b1 // spreads small numbers; a bijection
	n := rec.Interface*odd + l.index
	return (n*odd+uint32(l.vlan>>32))*odd + uint32(l.vlan)
}
