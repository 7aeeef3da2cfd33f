package config

import (
	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/size"
	"github.com/v6stack/v6stack/stack"
)

// addDefaults takes over [defrag] and [filter].
func (b *builder) addDefaults() {
	engine := &b.config.Stack.Engine
	engine.Zone = b.reassembly("defrag", &b.document.Defrag.reassemblyKeys, defaultDefrag)
	if b.has("defrag.total") {
		engine.Total, _ = b.size("defrag.total", b.document.Defrag.Total)
	}
	if b.has("filter.max_flows") {
		b.config.Stack.MaxFlows = b.number("filter.max_flows", b.document.Filter.MaxFlows, 1, 1<<26)
	}
}

// reassembly returns the defaults with what a table says instead.
func (b *builder) reassembly(table string, keys *reassemblyKeys, defaults defrag.ZoneConfig) defrag.ZoneConfig {
	zone := defaults
	if path := table + ".timeout"; b.has(path) {
		zone.Timeout = b.duration(path, keys.Timeout)
	}
	if path := table + ".overlap"; b.has(path) {
		policy, err := defrag.ParsePolicy(keys.Overlap)
		if err != nil {
			b.unwanted(path)
		}
		zone.Policy = policy
	}
	if path := table + ".max_fragments"; b.has(path) {
		zone.MaxFragments = b.number(path, keys.MaxFragments, 1, 65535)
	}
	if path := table + ".max_datagrams"; b.has(path) {
		zone.MaxDatagrams = b.number(path, keys.MaxDatagrams, 1, 1_000_000_000)
	}
	b.thresholds(table, keys, &zone)
	return zone
}

// thresholds sets High and Low. A table with the one alone gets a low threshold
// of three quarters of the high one.
func (b *builder) thresholds(table string, keys *reassemblyKeys, zone *defrag.ZoneConfig) {
	high, low := table+".high", table+".low"
	ok := true
	if b.has(high) {
		zone.High, ok = b.size(high, keys.High)
		zone.Low = max(zone.High/4*3, 1)
	}
	if !b.has(low) {
		return
	}
	octets, lowOK := b.size(low, keys.Low)
	zone.Low = octets
	if ok && lowOK && zone.Low > zone.High {
		b.refuse(low, "above high, which is %q: want low ≤ high", size.Format(zone.High))
	}
}

// addZones adds the default zone, those that have a table, and those that links
// name.
func (b *builder) addZones() {
	defaults := b.config.Stack.Engine.Zone
	b.addZone(stack.DefaultZone, defaults)
	seen := make(map[string]string)
	for i := range b.document.Zones {
		table, keys := element("zone", i), &b.document.Zones[i]
		zone := b.reassembly(table, &keys.reassemblyKeys, defaults)
		path := table + ".name"
		switch earlier, twice := seen[keys.Name]; {
		case !b.has(path):
			b.missing(table, "name")
		case !isLabel(keys.Name):
			b.unwanted(path)
		case twice:
			b.refuse(path, "the name of the zone of line %d: names are unique", b.places[earlier].line)
		case keys.Name == stack.DefaultZone:
			b.config.Stack.Zones[0].Defrag = zone
			seen[keys.Name] = path
		default:
			b.addZone(keys.Name, zone)
			seen[keys.Name] = path
		}
	}
	for i := range b.config.Stack.Links {
		if name := b.config.Stack.Links[i].Zone; b.zone(name) == nil {
			b.addZone(name, defaults)
		}
	}
	b.checkTotal()
}

func (b *builder) addZone(name string, zone defrag.ZoneConfig) {
	b.config.Stack.Zones = append(b.config.Stack.Zones, stack.ZoneConfig{Name: name, Defrag: zone})
}

// checkTotal refuses a total that some zone alone may exceed; by default there
// is none such.
func (b *builder) checkTotal() {
	highest := b.config.Stack.Zones[0]
	for _, zone := range b.config.Stack.Zones {
		if zone.Defrag.High > highest.Defrag.High {
			highest = zone
		}
	}
	engine := &b.config.Stack.Engine
	if !b.has("defrag.total") {
		engine.Total = max(defrag.DefaultTotal, highest.Defrag.High)
	} else if engine.Total != 0 && engine.Total < highest.Defrag.High {
		b.refuse("defrag.total", "below high of zone %q, which is %q: want high ≤ total", highest.Name, size.Format(highest.Defrag.High))
	}
}
