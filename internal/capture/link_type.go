package capture

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// A LinkType is the kind of link header that packets of a capture begin with,
// by its number in draft-ietf-opsawg-pcaplinktype.
type LinkType uint32

// The link types in which IPv6 is found.
const (
	Null      LinkType = 0   // BSD loopback: the address family, host order
	Ethernet  LinkType = 1   // Ethernet, VLAN tags included
	rawBSD    LinkType = 12  // Raw, as BSD numbers it
	rawOpen   LinkType = 14  // Raw, as OpenBSD numbers it
	Raw       LinkType = 101 // IP without a link header
	Loop      LinkType = 108 // OpenBSD loopback: the address family
	LinuxSLL  LinkType = 113 // Linux cooked capture
	IPv4      LinkType = 228 // IPv4 without a link header
	IPv6      LinkType = 229 // IPv6 without a link header
	LinuxSLL2 LinkType = 276 // Linux cooked capture, version 2
)

// linkTypes are those supported, in the order in which they are listed.
var linkTypes = []struct {
	number LinkType
	name   string
}{
	{Raw, "raw IP"}, {rawBSD, "raw IP"}, {rawOpen, "raw IP"}, {IPv4, "IPv4"}, {IPv6, "IPv6"},
	{Ethernet, "Ethernet"}, {LinuxSLL, "Linux SLL"}, {LinuxSLL2, "Linux SLL2"},
	{Null, "null"}, {Loop, "loop"},
}

// Supported reports whether IPv6 packets can be found behind such a header.
func (t LinkType) Supported() bool {
	for _, known := range linkTypes {
		if known.number == t {
			return true
		}
	}
	return false
}

// linkTypeNames lists the link types supported.
func linkTypeNames() string {
	var names []string
	for _, known := range linkTypes {
		names = append(names, fmt.Sprintf("%d (%s)", known.number, known.name))
	}
	return strings.Join(names, ", ")
}

// A link is what the link header of a packet says.
type link struct {
	// length of the header in octets.
	length int
	// ipv6 says that an IPv6 packet follows.
	ipv6 bool
	// index of the interface, where the header has one (SLL2).
	index uint32
	// vlan folds the VLAN identifiers, the outermost first, 12 bits each;
	// priority tags, whose identifier is 0, leave no trace.
	vlan uint64
}

// EtherTypes that matter here.
const (
	etherIPv6      = 0x86dd
	etherVLAN      = 0x8100
	etherProvider  = 0x88a8
	etherQinQ      = 0x9100
	etherQinQOther = 0x9200
)

// maxTags is the number of VLAN tags that are followed.
const maxTags = 4

// parseLink reads the link header of frame. The result says ipv6 only if the
// frame holds the first octet of an IPv6 header.
func parseLink(t LinkType, frame []byte) link {
	var l link
	switch t {
	case Raw, rawBSD, rawOpen, IPv6:
		l.ipv6 = true
	case Ethernet:
		l.etherTyped(frame, 12, 14)
	case LinuxSLL:
		l.etherTyped(frame, 14, 16)
	case LinuxSLL2:
		if len(frame) >= 20 {
			l.index = binary.BigEndian.Uint32(frame[4:])
		}
		l.etherTyped(frame, 0, 20)
	case Null, Loop:
		l.length = 4
		l.ipv6 = len(frame) >= 4 && familyIsIPv6(frame)
	}
	l.ipv6 = l.ipv6 && len(frame) > l.length && frame[l.length]>>4 == 6
	return l
}

// etherTyped reads a header of the given length whose EtherType stands at
// offset, and the VLAN tags behind it: in an SLL header too, the tag follows
// the whole header.
func (l *link) etherTyped(frame []byte, offset, length int) {
	l.length = length
	for range maxTags + 1 {
		if len(frame) < l.length {
			return
		}
		switch binary.BigEndian.Uint16(frame[offset:]) {
		case etherIPv6:
			l.ipv6 = true
			return
		case etherVLAN, etherProvider, etherQinQ, etherQinQOther:
			if len(frame) < l.length+4 {
				return
			}
			if id := binary.BigEndian.Uint16(frame[l.length:]) & 0xfff; id != 0 {
				l.vlan = l.vlan<<12 | uint64(id)
			}
			offset, l.length = l.length+2, l.length+4
		default:
			return
		}
	}
}

// familyIsIPv6 reports whether frame begins with an IPv6 address family. Each
// system has its own number; those of Null are in the byte order of the
// machine that captured, so both orders are tried, as Wireshark does.
func familyIsIPv6(frame []byte) bool {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(frame) {
		case 10, 23, 24, 28, 30: // Linux, Windows, NetBSD and OpenBSD, FreeBSD, macOS
			return true
		}
	}
	return false
}
