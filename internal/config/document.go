package config

// A document is a file as it stands. The want tags complete sentences about
// bad values: "want …".
type document struct {
	Defrag defragTable  `toml:"defrag" want:"a table: [defrag]"`
	Filter filterTable  `toml:"filter" want:"a table: [filter]"`
	Zones  []zoneTable  `toml:"zone" want:"tables of its own: [[zone]]"`
	Links  []linkTable  `toml:"link" want:"tables of its own: [[link]]"`
	Routes []routeTable `toml:"route" want:"tables of its own: [[route]]"`
	Rules  []ruleTable  `toml:"rule" want:"tables of its own: [[rule]]"`
}

// A defragTable is [defrag].
type defragTable struct {
	reassemblyKeys
	Total string `toml:"total" want:"a size above 0, such as \"64MiB\""`
}

// A zoneTable is one [[zone]].
type zoneTable struct {
	Name string `toml:"name" want:"a name of 1 to 63 printable characters without spaces"`
	reassemblyKeys
}

// reassemblyKeys say how datagrams are reassembled.
type reassemblyKeys struct {
	Timeout      string `toml:"timeout" want:"a duration above 0, such as \"60s\" or \"1m30s\""`
	High         string `toml:"high" want:"a size above 0, such as \"4MiB\" or \"512KiB\""`
	Low          string `toml:"low" want:"a size above 0, such as \"3MiB\" or \"384KiB\""`
	Overlap      string `toml:"overlap" want:"\"rfc8200\", \"rfc5722\" or \"linux\""`
	MaxFragments int    `toml:"max_fragments" want:"a whole number from 1 to 65535"`
	MaxDatagrams int    `toml:"max_datagrams" want:"a whole number from 1 to 1000000000"`
}

// A filterTable is [filter].
type filterTable struct {
	MaxFlows int `toml:"max_flows" want:"a whole number from 1 to 67108864"`
}

// A linkTable is one [[link]].
type linkTable struct {
	Name          string   `toml:"name" want:"the name of an interface: 1 to 15 octets without slash, colon, percent sign and white space"`
	NetNS         string   `toml:"netns" want:"the name of a network namespace, or its path"`
	HostAddresses []string `toml:"host_addresses" want:"an IPv6 unicast address and its prefix length, such as \"2001:db8:a::1/64\""`
	HostRoutes    []string `toml:"host_routes" want:"an IPv6 prefix, such as \"2001:db8::/32\""`
	Addresses     []string `toml:"addresses" want:"an IPv6 unicast address and its prefix length, such as \"2001:db8:a::ff/64\""`
	MTU           int      `toml:"mtu" want:"a whole number from 1280 to 65535"`
	Backend       string   `toml:"backend" want:"\"auto\", \"native\" or \"water\""`
	Offload       bool     `toml:"offload" want:"true or false"`
	Queues        int      `toml:"queues" want:"a whole number from 0 to 16"`
	Zone          string   `toml:"zone" want:"a name of 1 to 63 printable characters without spaces"`
	CheckSource   *bool    `toml:"check_source" want:"true or false"`
	ICMPErrors    bool     `toml:"icmp_errors" want:"true or false"`
}

// A routeTable is one [[route]].
type routeTable struct {
	To   string `toml:"to" want:"an IPv6 prefix, such as \"2001:db8:b::/64\""`
	Link string `toml:"link" want:"the name of a link"`
	Zone string `toml:"zone" want:"the name of a zone"`
}

// A ruleTable is one [[rule]].
type ruleTable struct {
	Name             string   `toml:"name" want:"a name of 1 to 63 printable characters without spaces"`
	From             string   `toml:"from" want:"\"zone:NAME\", \"link:NAME\" or \"any\""`
	To               string   `toml:"to" want:"\"zone:NAME\", \"link:NAME\" or \"any\""`
	Protocol         any      `toml:"protocol" want:"\"udp\", \"tcp\", \"icmpv6\" or a number from 1 to 255"`
	Source           string   `toml:"source" want:"an IPv6 prefix, such as \"2001:db8:a::/64\""`
	Destination      string   `toml:"destination" want:"an IPv6 prefix, such as \"2001:db8:b::/64\""`
	SourcePorts      []string `toml:"source_ports" want:"ports from 0 to 65535 and ranges of them, such as [\"53\", \"8000-8100\"]"`
	DestinationPorts []string `toml:"destination_ports" want:"ports from 0 to 65535 and ranges of them, such as [\"53\", \"8000-8100\"]"`
	ICMPTypes        []int    `toml:"icmpv6_types" want:"numbers from 0 to 255, such as [128, 129]"`
	Action           string   `toml:"action" want:"\"allow\", \"deny\" or \"reject\""`
	Stateful         bool     `toml:"stateful" want:"true or false"`
}
