// Package wgtun makes a device of golang.zx2c4.com/wireguard/tun a device of
// package tun. So a stack runs where wireguard does: Linux, macOS, iOS, Windows
// by Wintun, FreeBSD, OpenBSD.
//
//	wireguard tun.Device ── New ──► tun.Device ── Endpoint ──► gVisor's stack
//
// # Packets
//
// The device cuts large segments and finishes checksums itself where the system
// hands it such; what it reads are ordinary packets, so [tun.Features] are none
// and gVisor verifies checksums. What gVisor or a router leaves undone in a
// packet is done here. As many packets as the device takes go in one call, and
// on Linux it makes large segments of them again.
//
// The device reads to, and writes from, memory of its caller that must hold the
// longest packet there is, with 16 octets ahead of each: Linux' offload header
// takes 10, the address family of macOS and the BSDs 4. So each packet is copied
// once, into views that fit it, the headers apart; buffers that are views would
// pin 64 KiB for each packet of 1,500 octets. A device has one buffer of 64 KiB
// a packet of its batch (128 on Linux, 1 elsewhere) and direction, in memory as
// far as packets reach.
//
// # Platforms
//
//	         opened as      address family    MTU of the interface      offload
//	Linux    any name       none              CreateTUN; followed       inside
//	macOS    utun, utun7    device            CreateTUN; followed       none
//	FreeBSD  any name       device            CreateTUN; followed       none
//	OpenBSD  tun, tun7      device            CreateTUN; followed       none
//	Windows  any name       none              told, not set; ForceMTU   none
//
// Wintun's device only remembers the MTU of CreateTUN, and tells of another after
// its ForceMTU. The interface has one of Windows' choice until the program sets
// it, with netsh or IP Helper's SetIpInterfaceEntry: it should be the same for
// IPv4 and IPv6. Longer packets than the device's MTU come in all the same.
//
// # Not done
//
// Addresses and routes of the host's side are not set. Neither are several queues
// opened, which the module does not know. That the interface is up or down shows
// in refused writes only. Segments that exceed a batch are lost.
package wgtun
