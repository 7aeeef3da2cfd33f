package stack

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
)

// A target is a network and an address, parsed.
type target struct {
	transport string // "tcp" or "udp"
	protocol  tcpip.NetworkProtocolNumber
	only6     bool // the address family is pinned to IPv6
	address   tcpip.FullAddress
}

// parseTarget parses what net.Dial and net.Listen take: a network such as
// "tcp6" and an address such as "[fd00::1%link]:80". An empty host is the
// unspecified address. Names and services are not looked up.
func (z *Zone) parseTarget(network, address string) (target, error) {
	t := target{protocol: ipv6.ProtocolNumber}
	t.transport = strings.TrimRight(network, "46")
	family := network[len(t.transport):]
	if t.transport != "tcp" && t.transport != "udp" || len(family) > 1 {
		return t, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return t, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return t, &net.AddrError{Err: "port is not a number from 0 to 65535", Addr: address}
	}
	t.address.Port = uint16(port)
	t.only6 = family == "6"
	if family == "4" {
		t.protocol = ipv4.ProtocolNumber
	}
	if host == "" {
		return t, nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return t, &net.AddrError{Err: "host is not an IP address", Addr: address}
	}
	return t, z.setHost(&t, ip.Unmap(), family)
}

// setHost puts ip, which is no IPv4-mapped address, into t.
func (z *Zone) setHost(t *target, ip netip.Addr, family string) error {
	if ip.Is4() && family == "6" || ip.Is6() && family == "4" {
		return &net.AddrError{Err: fmt.Sprintf("address is not of family %s%s", t.transport, family), Addr: ip.String()}
	}
	if ip.Is4() {
		t.protocol = ipv4.ProtocolNumber
	}
	t.only6 = t.only6 || ip.Is6() && !ip.IsUnspecified()
	if !ip.IsUnspecified() {
		t.address.Addr = tcpip.AddrFromSlice(ip.AsSlice())
	}
	if ip.Zone() == "" {
		return nil
	}
	nic, ok := z.nic(ip.Zone())
	if !ok {
		return &net.AddrError{Err: fmt.Sprintf("no link %q in zone %q", ip.Zone(), z.name), Addr: ip.String()}
	}
	t.address.NIC = nic
	return nil
}

// nic returns the NIC of the link of that name.
func (z *Zone) nic(link string) (tcpip.NICID, bool) {
	for id, info := range z.netstack.NICInfo() {
		if info.Name == link {
			return id, true
		}
	}
	return 0, false
}
