// Package capture reads capture files and reassembles the IPv6 datagrams in
// them: a file in, a file of the same format out, in one pass and constant
// memory.
//
//	IN ──► Reader ──► link header ──► defrag.Engine ──► OUT
//	         │ time       not IPv6, no fragment: as it was ▲
//	         └──► clock ──► time-outs ──► ICMPv6 errors, list of losses
//
// Formats are pcap (draft-ietf-opsawg-pcap: both byte orders, microseconds and
// nanoseconds) and pcapng (draft-ietf-opsawg-pcapng: any number of sections,
// byte orders, interfaces, time resolutions and block types).
//
// # Why not gopacket's pcapgo
//
// A record that needs no change must leave as it came, octet for octet. The
// readers of pcapgo hand out packets, not records: custom, name resolution
// and unknown blocks, options and the padding between them, the byte order and
// an interface's time resolution are lost on the way, and its writer puts its
// own in their place. So a [Record] here is the very octets of the file, the
// packet in it is a part of them, and only the record of a completing
// fragment is built anew. Tests read what this package writes with pcapgo and
// with tshark.
//
// # Time
//
// The capture's time is the only clock. It starts at the first packet and
// follows the time stamps, but never goes back: a packet that is stamped
// earlier than one before it arrives when that one did. Time-outs that fall
// between two packets happen before the second of them.
//
// # Memory
//
// Beside the engine's budget, a reader holds one record and the interfaces of
// one section. A record's memory grows as its octets arrive, whatever length
// the file claims. Losses are told as they happen and forgotten.
//
// # What is not done
//
// IPv4 fragments, IPv6 inside tunnels, PPPoE or MPLS, IEEE 802.3 frames with
// an LLC header, and link types other than those of [LinkType] are copied as
// they are.
package capture
