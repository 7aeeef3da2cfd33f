// Package tunbench measures TUN devices beside each other: the kernel on one
// side, gVisor on the other, in one process. There is nothing in it to import.
//
//	kernel's sockets ─ fd00:6::1 │ TUN │ fd00:6::2 ─ link endpoint ─ gVisor's sockets
//	                       up ───────────────────────────►
//	                       ◄─────────────────────── down
//
// The devices:
//
//	water      github.com/songgao/water, gVisor's link/channel
//	fdbased    gVisor's link/fdbased
//	wireguard  golang.zx2c4.com/wireguard/tun with its offloads, link/channel
//	plain      package tun without offloads
//	offload    package tun
//
// The benchmarks, each once for every device that it is about:
//
//	TCP        one connection: Gbit/s, and the processor's seconds a gigabyte
//	UDP        datagrams of 64 octets: packets/s
//	Fragments  datagrams in fragments, between the kernel and package stack
//	Ping       the real ping with 65,000 octets: loss
//
// TCP and UDP run on a gVisor stack with the same options over every device.
// What arrives is compared with what was sent before and after the time that is
// measured; within it, octets and datagrams are counted.
//
// When benchmarks are asked for (-bench), the test binary starts itself again
// in a sandbox, see package sandbox; that needs Linux with /dev/net/tun.
//
//	go test -run '^$' -bench 'TCP/.*/device=offload' ./internal/tunbench
//
// make bench-tun runs all of them, several times in turn, and prints a table.
package tunbench
