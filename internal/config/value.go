package config

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/v6stack/v6stack/internal/size"
	"github.com/v6stack/v6stack/stack/filter"
	"github.com/v6stack/v6stack/tun"
)

// maxName is the longest name of an interface, maxLabel of a zone or a rule.
const (
	maxName  = 15
	maxLabel = 63
)

// size returns the size that text stands for; ok is false if it was refused.
func (b *builder) size(path, text string) (octets uint64, ok bool) {
	octets, err := size.Parse(text)
	if err != nil || octets == 0 {
		b.unwanted(path)
		return 0, false
	}
	return octets, true
}

// duration returns the duration that text stands for, or zero if it was
// refused.
func (b *builder) duration(path, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		b.unwanted(path)
		return 0
	}
	return d
}

// number checks a whole number and returns it.
func (b *builder) number(path string, n, least, most int) int {
	if n < least || n > most {
		b.unwanted(path)
	}
	return n
}

// backend returns the backend that text stands for, or Auto if it was refused.
func (b *builder) backend(path, text string) tun.Backend {
	for _, backend := range []tun.Backend{tun.Auto, tun.Native, tun.Water} {
		if backend.String() == text {
			return backend
		}
	}
	b.unwanted(path)
	return tun.Auto
}

// address returns the address, and the length of its prefix, that text stands
// for; ok is false if it was refused.
func (b *builder) address(path, text string) (address netip.Prefix, ok bool) {
	address, err := netip.ParsePrefix(text)
	addr := address.Addr()
	if err != nil || !isIPv6(addr) || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() {
		b.unwanted(path)
		return netip.Prefix{}, false
	}
	return address, true
}

// prefix returns the prefix that text stands for; ok is false if it was
// refused.
func (b *builder) prefix(path, text string) (prefix netip.Prefix, ok bool) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil || !isIPv6(prefix.Addr()):
		b.unwanted(path)
		return netip.Prefix{}, false
	case prefix != prefix.Masked():
		b.refuse(path, "bits are set beyond the prefix length: want %v", prefix.Masked())
		return netip.Prefix{}, false
	}
	return prefix, true
}

func isIPv6(addr netip.Addr) bool { return addr.Is6() && !addr.Is4In6() }

// isName reports whether a network interface may have that name.
func isName(name string) bool {
	return name != "" && len(name) <= maxName && name != "." && name != ".." && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return strings.ContainsRune("/:%", r) || unicode.IsSpace(r) || !unicode.IsPrint(r)
		})
}

// isLabel reports whether a zone or a rule may have that name.
func isLabel(name string) bool {
	return name != "" && len(name) <= maxLabel && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) })
}

// portRange returns the ports that text stands for: "53", or "8000-8100".
func portRange(text string) (ports filter.PortRange, ok bool) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	z, errZ := strconv.ParseUint(last, 10, 16)
	if errA != nil || errZ != nil || a > z {
		return ports, false
	}
	return filter.PortRange{First: uint16(a), Last: uint16(z)}, true
}
