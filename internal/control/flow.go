package control

import (
	"iter"
	"net/netip"
	"strconv"

	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
)

// NewFlows returns flows, which were taken together with stats, as snapshots
// show them. The result is never nil.
func NewFlows(flows iter.Seq[filter.Flow], stats stack.Stats) []Flow {
	zones := make(map[uint32]string, len(stats.Zones))
	for i := range stats.Zones {
		zones[uint32(stats.Zones[i].Defrag.Zone)] = ZoneName(stats.Zones[i].Name)
	}
	list := []Flow{}
	for flow := range flows {
		list = append(list, newFlow(&flow, zones))
	}
	return list
}

// newFlow returns the snapshot of one flow; zones names the zones there are.
func newFlow(flow *filter.Flow, zones map[uint32]string) Flow {
	return Flow{
		FromZone:    zones[flow.FromZone],
		ToZone:      zones[flow.ToZone],
		Protocol:    protocolName(flow.Protocol),
		Source:      endName(flow.Protocol, flow.Source, flow.SourcePort),
		Destination: endName(flow.Protocol, flow.Destination, flow.DestinationPort),
		Identifier:  flow.Identifier,
		State:       flow.State.String(),
		Rule:        flow.Rule + 1,
		Age:         flow.Age.Seconds(),
		Expires:     flow.Expires.Seconds(),
		There:       newTraffic(flow.There),
		Back:        newTraffic(flow.Back),
	}
}

// protocolName returns the name that rules have for a protocol.
func protocolName(protocol uint8) string {
	switch protocol {
	case filter.TCP:
		return "tcp"
	case filter.UDP:
		return "udp"
	case filter.ICMPv6:
		return "icmpv6"
	}
	return strconv.Itoa(int(protocol))
}

// endName returns one end of a flow: an address, with its port if the
// protocol has ports.
func endName(protocol uint8, address [16]byte, port uint16) string {
	ip := netip.AddrFrom16(address)
	if protocol != filter.TCP && protocol != filter.UDP {
		return ip.String()
	}
	return netip.AddrPortFrom(ip, port).String()
}
