// Package config reads the configuration file of a router: links, zones, routes
// and rules, in TOML.
//
//	[defrag]   how zones reassemble, unless they say otherwise
//	[filter]   the table of flows
//	[[zone]]   how one zone reassembles
//	[[link]]   a TUN device, and the stack's end of it
//	[[route]]  a prefix that is reached through a link
//	[[rule]]   what becomes of packets from one link to another
//
// The reading is strict: [Parse] refuses keys that it does not know, values that
// are out of range, and parts that do not fit together, such as a rule about a
// zone that there is none of. What it takes, stack.New takes too. All that is
// wrong is told at once, each with the line and the column where it stands; see
// [Error].
//
// The package looks at nothing but the file, but for [Config.CheckNamespaces].
// It starts nothing and opens no device.
package config
