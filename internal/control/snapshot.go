package control

import "time"

// A Snapshot is how a running v6stack is, as JSON has it. It is a plain value
// and shares nothing with what it was taken of. Counters count since the
// start of what they count for.
type Snapshot struct {
	// Version of the program.
	Version string `json:"version"`
	// Started is when the program did, Taken when it was asked.
	Started time.Time `json:"started"`
	Taken   time.Time `json:"taken"`
	// Links and Zones in the order of the configuration.
	Links []Link `json:"links"`
	Zones []Zone `json:"zones"`
	// Filter is null where there never were rules.
	Filter *Filter `json:"filter"`
	// Flows are there if they were asked for.
	Flows []Flow `json:"flows,omitzero"`
}

// A Link is a snapshot of one link.
type Link struct {
	Name      string   `json:"name"`
	Zone      string   `json:"zone"`
	Up        bool     `json:"up"`
	MTU       uint32   `json:"mtu"`
	Addresses []string `json:"addresses"`
	// Received is what this host took from the link, datagrams whole; Sent what
	// it gave to the link, in fragments.
	Received Traffic `json:"received"`
	Sent     Traffic `json:"sent"`
	// ForwardedFrom is what the router took from the link, ForwardedTo what it
	// gave to the link, in fragments where packets came so.
	ForwardedFrom Traffic `json:"forwarded_from"`
	ForwardedTo   Traffic `json:"forwarded_to"`
	// Drops are packets from the link that were dropped besides those that
	// reassembly dropped, by reason. No reason is left out.
	Drops map[string]uint64 `json:"drops"`
	// ICMPErrors is what became of ICMPv6 errors that the link was owed.
	ICMPErrors ICMPErrors `json:"icmp_errors"`
}

// Traffic is packets and their octets.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Octets  uint64 `json:"octets"`
}

// ICMPErrors counts ICMPv6 errors by what became of them.
type ICMPErrors struct {
	Sent uint64 `json:"sent"`
	// Suppressed errors are those that RFC 4443 section 2.4(e) forbids.
	Suppressed uint64 `json:"suppressed"`
	// Limited errors were above the rate limit.
	Limited uint64 `json:"limited"`
	// Failed errors were not taken by the link.
	Failed uint64 `json:"failed"`
}

// A Zone is a snapshot of one zone's reassembly.
type Zone struct {
	// Name of the zone; the default zone's is "default".
	Name string `json:"name"`
	// Overlap is the policy where fragments overlap.
	Overlap string `json:"overlap"`
	// Timeout in seconds, from a datagram's first fragment to its last.
	Timeout float64 `json:"timeout_seconds"`
	// Queues are incomplete datagrams, Fragments what they consist of.
	Queues    uint64 `json:"queues"`
	Fragments uint64 `json:"fragments"`
	Memory    Memory `json:"memory"`
	// Received fragments: each is held, atomic, dropped, or part of one of the
	// datagrams Reassembled.
	Received    uint64 `json:"fragments_received"`
	Atomic      uint64 `json:"fragments_atomic"`
	Joined      uint64 `json:"fragments_reassembled"`
	Reassembled uint64 `json:"datagrams_reassembled"`
	// Drops are fragments by reason. No reason is left out.
	Drops map[string]uint64 `json:"drops"`
}

// Memory is what a zone's incomplete datagrams take, in octets.
type Memory struct {
	Octets uint64 `json:"octets"`
	// High is where giving up datagrams begins, Low where it ends.
	High uint64 `json:"high"`
	Low  uint64 `json:"low"`
}

// A Filter is a snapshot of the rules and flows.
type Filter struct {
	Rules []Rule `json:"rules"`
	// DefaultAllowed and DefaultDenied packets matched no rule.
	DefaultAllowed Traffic `json:"default_allowed"`
	DefaultDenied  Traffic `json:"default_denied"`
	// FlowErrors are ICMPv6 errors that passed because of a flow.
	FlowErrors Traffic   `json:"flow_errors"`
	FlowTable  FlowTable `json:"flow_table"`
}

// A Rule is a snapshot of one rule.
type Rule struct {
	// Number of the rule in the configuration, from 1.
	Number int    `json:"number"`
	Name   string `json:"name,omitempty"`
	Action string `json:"action"`
	// Traffic that matched, and that of the flows it opened.
	Traffic
}

// A FlowTable counts flows.
type FlowTable struct {
	// Live flows, and how many there may be.
	Live int `json:"live"`
	Max  int `json:"max"`
	// Opened flows, and how those ended that do not live any more.
	Opened  uint64 `json:"opened"`
	Expired uint64 `json:"expired"`
	Evicted uint64 `json:"evicted"`
	Revoked uint64 `json:"revoked"`
}

// A Flow is one flow, in the direction of the packet that opened it.
type Flow struct {
	FromZone string `json:"from_zone"`
	ToZone   string `json:"to_zone"`
	Protocol string `json:"protocol"`
	// Source and Destination are addresses, with the ports of TCP and UDP.
	Source      string `json:"source"`
	Destination string `json:"destination"`
	// Identifier is that of an ICMPv6 echo.
	Identifier uint16 `json:"identifier,omitempty"`
	State      string `json:"state"`
	// Rule is the number of the rule that allows the flow; 0 is the default.
	Rule int `json:"rule"`
	// Age is how long the flow has been known, Expires when it will end if no
	// packet comes, in seconds.
	Age     float64 `json:"age_seconds"`
	Expires float64 `json:"expires_seconds"`
	// There is the traffic in the flow's direction, Back that of replies.
	There Traffic `json:"there"`
	Back  Traffic `json:"back"`
}
