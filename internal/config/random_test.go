package config_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/v6stack/v6stack/internal/config"
)

// A pool is values to choose from; "" leaves the key out.
type pool []string

func (p pool) line(r *rand.Rand, key string) string {
	value := p[r.IntN(len(p))]
	if value == "" {
		return ""
	}
	return key + " = " + value + "\n"
}

var (
	links    = pool{`"a"`, `"b"`, `"c"`}
	zones    = pool{"", `"default"`, `"red"`, `"blue"`}
	routable = pool{`"2001:db8:a::/64"`, `"2001:db8:b::/64"`, `"2001:db8::/32"`, `"::/0"`, `"2001:db8:a::80/122"`}
	selector = pool{"", `"any"`, `"zone:red"`, `"zone:default"`, `"link:a"`, `"link:b"`}
	actions  = pool{`"allow"`, `"deny"`, `"reject"`}
)

// file returns the text of a file of a few parts.
func file(r *rand.Rand) string {
	var text strings.Builder
	add := func(lines ...string) { text.WriteString(strings.Join(lines, "")) }
	if r.IntN(2) == 0 {
		add("[[zone]]\n", zones[1:].line(r, "name"), pool{"", `"1MiB"`}.line(r, "high"))
	}
	for range 1 + r.IntN(3) {
		addresses := pool{
			"", `["2001:db8:a::1/64"]`, `["2001:db8:b::1/64"]`, `["2001:db8:a::1/64", "fe80::1/64"]`, `["fe80::2/64"]`,
			`["2001:db8:a:0:1::1/80", "2001:db8:c::1/128"]`, `["2001:db8::1/0"]`,
		}
		add("[[link]]\n", links.line(r, "name"), zones.line(r, "zone"), addresses.line(r, "addresses"), pool{"", "1280"}.line(r, "mtu"))
	}
	for range r.IntN(3) {
		add("[[route]]\n", routable.line(r, "to"), links.line(r, "link"), zones.line(r, "zone"))
	}
	for range r.IntN(3) {
		add("[[rule]]\n", selector.line(r, "from"), selector.line(r, "to"), actions.line(r, "action"),
			pool{"", `"udp"`, `"tcp"`, "58"}.line(r, "protocol"), pool{"", "", `["53", "8-9"]`}.line(r, "source_ports"),
			pool{"", "", "[128]"}.line(r, "icmpv6_types"), append(routable, "").line(r, "destination"))
	}
	return text.String()
}

// What is taken makes a stack, whatever the combination; and of the
// combinations enough are taken, and enough refused.
func TestCombinations(t *testing.T) {
	const files = 600
	taken := 0
	for seed := range uint64(files) {
		text := file(rand.New(rand.NewPCG(seed, 6)))
		cfg, err := config.Parse("file", []byte(text))
		if err != nil {
			continue
		}
		taken++
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			assemble(t, cfg)
			if t.Failed() {
				t.Log(text)
			}
		})
	}
	if taken < files/20 || taken > files*19/20 {
		t.Errorf("%d of %d files are taken", taken, files)
	}
}
