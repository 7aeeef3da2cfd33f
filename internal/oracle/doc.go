// Package oracle compares reassembly in package defrag with that in the live
// Linux kernel. It is a tool of tests.
//
//	Generate, Directed ─► Sequence ─┬─► Live     the kernel's nf_defrag_ipv6
//	                                ├─► Subject  an engine of package defrag
//	                                └─► Run      the model, by a set of rules
//
// What comes out upon each packet is compared byte for byte. The model says
// what any reassembler between the kernel and policy RFC8200 does, given the
// [Rule] set that it follows. That makes an accepted difference precise: one
// is accepted if rows of docs/BEHAVIOUR.md, and as few as possible, turn the
// model of our side into exactly what the kernel did; [Explain] finds them.
//
// Live needs Linux, CAP_SYS_ADMIN and CAP_NET_ADMIN in the user namespace it
// runs in, /dev/net/tun, nftables and NFLOG.
package oracle
