package config_test

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/config"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
	"github.com/v6stack/v6stack/tun"
)

// example is the file that shows every key.
const example = "../../examples/router.toml"

func prefixes(texts ...string) (prefixes []netip.Prefix) {
	for _, text := range texts {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	return prefixes
}

// parse parses a good file.
func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("router.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Everything that a file says arrives where it belongs.
func TestParse(t *testing.T) {
	cfg := parse(t, `
[defrag]
timeout = "1m30s"
high = "2MiB"
overlap = "rfc5722"
total = "1GiB"
max_datagrams = 7

[filter]
max_flows = 1000

[[zone]]
name = "red"
low = "1 MiB"
timeout = "5s"
max_fragments = 9

[[link]]
name = "left"
netns = "hosta"
host_addresses = ["2001:db8:a::1/64", "fe80::1/64"]
host_routes = ["::/0", "2001:db8::/32"]
addresses = ["2001:db8:a::ff/64", "fe80::ff/64"]
mtu = 9000
backend = "native"
offload = false
queues = 2
zone = "red"
check_source = false
icmp_errors = false

[[link]]
name = "right"
addresses = ["2001:db8:a::ff/64", "fe80::ff/64"]

[[link]]
name = "third"
backend = "water"
offload = true
queues = 1
zone = "blue"
check_source = true
icmp_errors = true

[[route]]
to = "2001:db8:b::/64"
link = "right"
zone = "red"

[[route]]
to = "2001:db8:b::/64"
link = "right"

[[rule]]
name = "dns"
from = "zone:red"
to = "zone:default"
protocol = "udp"
source = "2001:db8::/32"
source_ports = ["1024-65535"]
destination = "2001:db8:b::/64"
destination_ports = ["53", "8000-8100"]
action = "allow"
stateful = false

[[rule]]
from = "any"
to = "link:third"
protocol = "icmpv6"
icmpv6_types = [128, 0x81]
action = "reject"
stateful = true

[[rule]]
protocol = 132
action = "deny"

[[rule]]
protocol = "6"
action = "allow"
`)
	no, yes := false, true
	engine := defrag.ZoneConfig{Policy: defrag.RFC5722, High: 2 << 20, Low: 3 << 19, Timeout: 90 * time.Second, MaxDatagrams: 7}
	red := engine
	red.Low, red.Timeout, red.MaxFragments = 1<<20, 5*time.Second, 9
	want := stack.Config{
		Forward:  true,
		MaxFlows: 1000,
		Engine:   defrag.Config{Zone: engine, Total: 1 << 30},
		Zones:    []stack.ZoneConfig{{Name: "default", Defrag: engine}, {Name: "red", Defrag: red}, {Name: "blue", Defrag: engine}},
		Links: []stack.LinkConfig{
			{Name: "left", Zone: "red", Addresses: prefixes("2001:db8:a::ff/64", "fe80::ff/64"), NoICMPErrors: true, CheckSource: &no},
			{Name: "right", Zone: "default", Addresses: prefixes("2001:db8:a::ff/64", "fe80::ff/64")},
			{Name: "third", Zone: "blue", CheckSource: &yes},
		},
		Routes: []stack.Route{
			{Prefix: netip.MustParsePrefix("2001:db8:b::/64"), Link: "right", Zone: "red"},
			{Prefix: netip.MustParsePrefix("2001:db8:b::/64"), Link: "right", Zone: "default"},
		},
		Rules: []filter.Rule{
			{
				Name: "dns", From: filter.InZone("red"), To: filter.InZone("default"), Protocol: filter.UDP,
				Source: netip.MustParsePrefix("2001:db8::/32"), SourcePorts: []filter.PortRange{{First: 1024, Last: 65535}},
				Destination:      netip.MustParsePrefix("2001:db8:b::/64"),
				DestinationPorts: []filter.PortRange{{First: 53, Last: 53}, {First: 8000, Last: 8100}},
				Action:           filter.Allow, Stateless: true,
			},
			{To: filter.OnLink("third"), Protocol: filter.ICMPv6, ICMPTypes: []uint8{128, 129}, Action: filter.Reject},
			{Protocol: 132, Action: filter.Deny},
			{Protocol: filter.TCP, Action: filter.Allow},
		},
	}
	if !reflect.DeepEqual(cfg.Stack, want) {
		t.Errorf("the stack is\n%+v\nwant\n%+v", cfg.Stack, want)
	}
	devices := []tun.Config{
		{
			Name: "left", NetNS: "hosta", MTU: 9000, HostAddresses: prefixes("2001:db8:a::1/64", "fe80::1/64"),
			HostRoutes: prefixes("::/0", "2001:db8::/32"), Backend: tun.Native, NoOffload: true, Queues: 2,
		},
		{Name: "right", MTU: 1500},
		{Name: "third", MTU: 1500, Backend: tun.Water, Queues: 1},
	}
	if !reflect.DeepEqual(cfg.TUNs, devices) {
		t.Errorf("the devices are\n%+v\nwant\n%+v", cfg.TUNs, devices)
	}
}

// What a file does not say is as the packages underneath have it.
func TestDefaults(t *testing.T) {
	cfg := parse(t, "[[link]]\nname = \"a\"\n")
	want := defrag.ZoneConfig{High: defrag.DefaultHigh, Low: defrag.DefaultLow, Timeout: defrag.DefaultTimeout}
	if zone := cfg.Stack.Engine.Zone; zone != want || cfg.Stack.Engine.Total != defrag.DefaultTotal {
		t.Errorf("reassembly %+v, want %+v", cfg.Stack.Engine, want)
	}
	if !reflect.DeepEqual(cfg.TUNs[0], tun.Config{Name: "a", MTU: tun.DefaultMTU}) || cfg.Stack.Links[0].NoICMPErrors || cfg.Stack.Links[0].CheckSource != nil {
		t.Errorf("link %+v with device %+v", cfg.Stack.Links[0], cfg.TUNs[0])
	}
	cfg = parse(t, "[[zone]]\nname = \"default\"\nhigh = \"65MiB\"\n[[link]]\nname = \"a\"\n")
	if len(cfg.Stack.Zones) != 1 || cfg.Stack.Zones[0].Defrag.High != 65<<20 || cfg.Stack.Engine.Total != 65<<20 {
		t.Errorf("zones %+v, total %d", cfg.Stack.Zones, cfg.Stack.Engine.Total)
	}
}

// Things that look like mistakes and are none.
func TestGood(t *testing.T) {
	for name, text := range map[string]string{
		"equal addresses in two zones":      left + "[[link]]\nname = \"b\"\nzone = \"z\"\naddresses = [\"2001:db8:a::ff/64\"]\n",
		"equal routes in two zones":         left + right + "[[route]]\nto = \"::/0\"\nlink = \"left\"\n[[route]]\nto = \"::/0\"\nlink = \"right\"\nzone = \"red\"\n",
		"a route within a link's prefix":    left + right + "[[route]]\nto = \"2001:db8:a::80/122\"\nlink = \"right\"\n",
		"a route within a route":            left + "[[route]]\nto = \"::/0\"\nlink = \"left\"\n[[route]]\nto = \"2001:db8::/32\"\nlink = \"left\"\n",
		"a zone without links":              left + "[[zone]]\nname = \"spare\"\n[[rule]]\nto = \"zone:spare\"\naction = \"deny\"\n",
		"link-local prefixes on all links":  "[[link]]\nname = \"a\"\naddresses = [\"fe80::1/64\"]\n[[link]]\nname = \"b\"\naddresses = [\"fe80::2/64\"]\n",
		"equal host routes in two places":   left + "host_routes = [\"::/0\"]\nnetns = \"a\"\n" + right + "host_routes = [\"::/0\"]\nnetns = \"b\"\n",
		"equal link-local host addresses":   left + "host_addresses = [\"fe80::1/64\"]\n" + right + "host_addresses = [\"fe80::1/64\"]\n",
		"inline tables and dotted keys":     "defrag.high = \"1MiB\"\nlink = [{name = \"a\"}, {name = \"b\", mtu = 1280}]\n",
		"carriage returns":                  strings.ReplaceAll(left, "\n", "\r\n"),
		"low and high equal":                left + "[defrag]\nhigh = \"1KiB\"\nlow = \"1024\"\n",
		"a network namespace by its path":   left + "netns = \"/proc/self/ns/net\"\n",
		"equal names of a link and a zone":  "[[zone]]\nname = \"a\"\n[[link]]\nname = \"a\"\nzone = \"a\"\n",
		"names beyond ASCII":                "[[link]]\nname = \"grün\"\nzone = \"größe\"\n",
		"a host address beside the stack's": left + "host_addresses = [\"2001:db8:a::1/64\"]\n",
	} {
		t.Run(name, func(t *testing.T) { assemble(t, parse(t, text)) })
	}
}

// The example has every key, also those that are comments because their
// defaults are as good, and says nothing wrong.
func TestExample(t *testing.T) {
	cfg, err := config.Load(example)
	if err != nil {
		t.Fatal(err)
	}
	assemble(t, cfg)
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	comment := regexp.MustCompile(`(?m)^# ([a-z_]+ = )`)
	if n := len(comment.FindAll(text, -1)); n < 3 {
		t.Errorf("%d keys in comments", n)
	}
	cfg = parse(t, comment.ReplaceAllString(string(text), "$1"))
	assemble(t, cfg)
	keys := config.Keys()
	if len(keys) < 30 {
		t.Errorf("only %d keys: %q", len(keys), keys)
	}
	for _, key := range keys {
		if !cfg.Has(key) {
			t.Errorf("%s does not show %s", example, key)
		}
	}
}

func TestLoadNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "absent.toml")
	if _, err := config.Load(file); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v", err)
	}
}

// The namespaces that the machine does not have are named, each where it
// stands.
func TestCheckNamespaces(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	cfg := parse(t, left+"netns = \"v6stack-no-such\"\n"+right+"netns = '"+absent+"'\n[[link]]\nname = \"here\"\n")
	err := cfg.CheckNamespaces()
	var bad *config.Error
	if !errors.As(err, &bad) || len(bad.Problems) != 2 {
		t.Fatalf("error %v, want two problems", err)
	}
	for i, want := range []string{
		"router.toml:4:9: netns = \"v6stack-no-such\": no such network namespace: /run/netns/v6stack-no-such does not exist",
		"router.toml:9:9: netns = '" + absent + "': no such network namespace: " + absent + " does not exist",
	} {
		if got := strings.Split(err.Error(), "\n")[i]; runtime.GOOS != "windows" && !resembles(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	if err := parse(t, left+"netns = '"+t.TempDir()+"/'\n"+right).CheckNamespaces(); err != nil {
		t.Errorf("a path that is there: %v", err)
	}
}
