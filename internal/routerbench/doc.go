// Package routerbench measures routers between two network namespaces: the
// kernel's TCP on both ends, and two TUN devices between which a router takes
// packets from one to the other. There is nothing in it to import.
//
//	kernel ─ fd00:a::1 │ TUN │ router │ TUN │ fd00:b::1 ─ kernel
//	             ───────────────────────────────►
//
// The routers:
//
//	gvisor     gVisor's stack with forwarding on, two NICs of link/fdbased
//	plain      package stack on devices of package tun without offloads
//	v6stack    package stack on devices of package tun
//
// The ends are processes of their own, which do as little as they can. What
// arrives is compared with what was sent before and after the time that is
// measured; within it, octets are counted. The processor's time is that of the
// router's process.
//
// When benchmarks are asked for (-bench), the test binary starts itself again
// in a sandbox, see package sandbox; that needs Linux with /dev/net/tun.
//
//	go test -run '^$' -bench TCP ./internal/routerbench
//
// make bench-router runs them several times in turn, beside forwarding in
// memory.
package routerbench
