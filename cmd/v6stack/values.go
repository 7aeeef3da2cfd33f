package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/tun"
)

// A prefixesFlag is a repeatable flag of IPv6 addresses or routes with their
// prefix lengths.
type prefixesFlag []netip.Prefix

// Set parses text and appends it; it implements pflag.Value.
func (f *prefixesFlag) Set(text string) error {
	const want = "want an IPv6 address and its prefix length, such as fd00:6::1/64"
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil && !strings.Contains(text, "/"):
		return fmt.Errorf("no prefix length: %s", want)
	case err != nil:
		return fmt.Errorf("%w: %s", err, want)
	case prefix.Addr().Is4():
		return fmt.Errorf("an IPv4 address: %s", want)
	case prefix.Addr().Is4In6():
		return fmt.Errorf("an IPv4-mapped address: %s", want)
	}
	*f = append(*f, prefix)
	return nil
}

// String returns the addresses, separated by commas.
func (f *prefixesFlag) String() string {
	var texts []string
	for _, prefix := range *f {
		texts = append(texts, prefix.String())
	}
	return strings.Join(texts, ",")
}

// Type names the kind of value in the help text.
func (f *prefixesFlag) Type() string { return "CIDR" }

// A numberFlag is a whole number within bounds.
type numberFlag struct{ value, least, most int }

// Set parses text; it implements pflag.Value.
func (f *numberFlag) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < f.least || n > f.most {
		return fmt.Errorf("want a number from %d to %d", f.least, f.most)
	}
	f.value = n
	return nil
}

// String returns the number, or nothing if it is not set.
func (f *numberFlag) String() string {
	if f.value == 0 {
		return ""
	}
	return strconv.Itoa(f.value)
}

// Type names the kind of value in the help text.
func (f *numberFlag) Type() string { return "number" }

// A durationFlag is a duration above 0.
type durationFlag time.Duration

// Set parses text; it implements pflag.Value.
func (f *durationFlag) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("want a duration above 0, such as 60s or 1m30s")
	}
	*f = durationFlag(d)
	return nil
}

// String returns the duration as [time.Duration.String] does.
func (f *durationFlag) String() string { return time.Duration(*f).String() }

// Type names the kind of value in the help text.
func (f *durationFlag) Type() string { return "duration" }

// A policyFlag is an overlap policy by name.
type policyFlag defrag.Policy

// Set parses text; it implements pflag.Value.
func (f *policyFlag) Set(text string) error {
	policy, err := defrag.ParsePolicy(text)
	*f = policyFlag(policy)
	return err
}

// String returns the policy's name.
func (f *policyFlag) String() string { return defrag.Policy(*f).String() }

// Type names the kind of value in the help text.
func (f *policyFlag) Type() string { return "policy" }

// A backendFlag is a TUN backend by name.
type backendFlag tun.Backend

// Set parses text; it implements pflag.Value.
func (f *backendFlag) Set(text string) error {
	for _, backend := range []tun.Backend{tun.Auto, tun.Native, tun.Water} {
		if backend.String() == text {
			*f = backendFlag(backend)
			return nil
		}
	}
	return fmt.Errorf("want auto, native or water")
}

// String returns the backend's name.
func (f *backendFlag) String() string { return tun.Backend(*f).String() }

// Type names the kind of value in the help text.
func (f *backendFlag) Type() string { return "backend" }

// A switchFlag is on or off.
type switchFlag bool

// Set parses text; it implements pflag.Value.
func (f *switchFlag) Set(text string) error {
	if text != "on" && text != "off" {
		return fmt.Errorf("want on or off")
	}
	*f = text == "on"
	return nil
}

// String returns on or off.
func (f *switchFlag) String() string {
	if *f {
		return "on"
	}
	return "off"
}

// Type names the kind of value in the help text.
func (f *switchFlag) Type() string { return "on|off" }
