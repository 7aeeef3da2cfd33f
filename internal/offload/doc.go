// Package offload does in software what a link with offloads leaves to others:
// it cuts large TCP segments and UDP datagrams into packets (TSO, USO), finishes
// and verifies checksums, and couples consecutive TCP segments into a large one
// (RFC 9293, RFC 768, RFC 8200 section 8.1, RFC 1071).
//
// It is not done: IPv6 jumbograms; tunnels, whose outer headers are looked at
// only; the checksums of protocols other than TCP, UDP and ICMP. The fragments
// of a datagram are never cut, coupled or verified.
//
// Nothing here has locks, a clock or goroutines. Payload is shared, not copied,
// and views come from gVisor's pools, so that once warm no call allocates.
package offload
