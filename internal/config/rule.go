package config

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/v6stack/v6stack/stack/filter"
)

// protocols that rules know by name.
var protocols = map[string]int{"tcp": filter.TCP, "udp": filter.UDP, "icmpv6": filter.ICMPv6}

// addRules adds the rules.
func (b *builder) addRules() {
	places := make(map[string]string) // of names
	for i := range b.document.Rules {
		table, keys := element("rule", i), &b.document.Rules[i]
		b.config.Stack.Rules = append(b.config.Stack.Rules, b.rule(table, keys))
		path := table + ".name"
		if !b.has(path) {
			continue
		}
		if !isLabel(keys.Name) {
			b.unwanted(path)
		} else if earlier, twice := places[keys.Name]; twice {
			b.refuse(path, "the name of the rule of line %d: names are unique", b.places[earlier].line)
		}
		places[keys.Name] = path
	}
}

// rule returns the rule of a table.
func (b *builder) rule(table string, keys *ruleTable) filter.Rule {
	rule := filter.Rule{
		Name:             keys.Name,
		From:             b.selector(table+".from", keys.From),
		To:               b.selector(table+".to", keys.To),
		Protocol:         b.protocol(table+".protocol", keys.Protocol),
		Source:           b.rulePrefix(table+".source", keys.Source),
		Destination:      b.rulePrefix(table+".destination", keys.Destination),
		SourcePorts:      b.ports(table+".source_ports", keys.SourcePorts),
		DestinationPorts: b.ports(table+".destination_ports", keys.DestinationPorts),
		ICMPTypes:        b.icmpTypes(table+".icmpv6_types", keys.ICMPTypes),
		Stateless:        b.has(table+".stateful") && !keys.Stateful,
	}
	if path := table + ".action"; !b.has(path) {
		b.missing(table, "action")
	} else if rule.Action.UnmarshalText([]byte(keys.Action)) != nil {
		b.unwanted(path)
	}
	b.checkProtocol(table, &rule)
	return rule
}

// selector returns what "zone:NAME", "link:NAME" or "any" stands for.
func (b *builder) selector(path, text string) filter.Selector {
	if !b.has(path) || text == "any" {
		return filter.Selector{}
	}
	kind, name, _ := strings.Cut(text, ":")
	switch {
	case kind == "zone" && name != "":
		if b.zone(name) == nil {
			b.refuse(path, "no such zone: want one of %s", b.zoneNames())
		}
		return filter.InZone(name)
	case kind == "link" && name != "":
		if b.link(name) == nil {
			b.refuse(path, "no such link: want one of %s", b.linkNames())
		}
		return filter.OnLink(name)
	}
	b.unwanted(path)
	return filter.Selector{}
}

// protocol returns the number of a protocol, which the file has by name or by
// number.
func (b *builder) protocol(path string, value any) int {
	if !b.has(path) {
		return filter.AnyProtocol
	}
	n := 0
	switch v := value.(type) {
	case int64:
		n = int(min(max(v, 0), 256))
	case string:
		if n = protocols[v]; n == 0 {
			n, _ = strconv.Atoi(v)
		}
	}
	if n < 1 || n > 255 {
		b.unwanted(path)
		return filter.AnyProtocol
	}
	return n
}

func (b *builder) rulePrefix(path, text string) netip.Prefix {
	if !b.has(path) {
		return netip.Prefix{}
	}
	prefix, _ := b.prefix(path, text)
	return prefix
}

func (b *builder) ports(path string, texts []string) (ports []filter.PortRange) {
	if b.has(path) && len(texts) == 0 {
		b.unwanted(path)
	}
	for i, text := range texts {
		r, ok := portRange(text)
		if !ok {
			b.unwanted(element(path, i))
		}
		ports = append(ports, r)
	}
	return ports
}

func (b *builder) icmpTypes(path string, numbers []int) (types []uint8) {
	if b.has(path) && len(numbers) == 0 {
		b.unwanted(path)
	}
	for i, n := range numbers {
		types = append(types, uint8(b.number(element(path, i), n, 0, 255)))
	}
	return types
}

// checkProtocol refuses keys that go with other protocols than the rule's.
func (b *builder) checkProtocol(table string, rule *filter.Rule) {
	for _, name := range []string{"source_ports", "destination_ports"} {
		if path := table + "." + name; b.has(path) && rule.Protocol != filter.TCP && rule.Protocol != filter.UDP {
			b.refuse(path, "only with protocol \"tcp\" or \"udp\" are there ports")
		}
	}
	if path := table + ".icmpv6_types"; b.has(path) && rule.Protocol != filter.ICMPv6 {
		b.refuse(path, "only with protocol \"icmpv6\" are there types")
	}
}
