package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/v6stack/v6stack/internal/config"
)

// left and right are links for files that are about something else.
const (
	left = `[[link]]
name = "left"
addresses = ["2001:db8:a::ff/64"]
`
	right = `[[link]]
name = "right"
addresses = ["2001:db8:b::ff/64"]
zone = "red"
`
)

// Bad files: every problem with its line, its column and the message, in the
// order of the file. A "…" stands for anything.
func TestBad(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want string
	}{
		"no link":          {"", "1:1: [[link]] is missing: want at least one"},
		"syntax":           {left + "mtu 1500\n", "4:5: expected '=' after key"},
		"no end of string": {"[[link]]\nname = \"left\n", "2:13: basic strings cannot have new lines"},
		"no UTF-8":         {"[[link]]\nname = \"\xff\"\n", "2:9: …"},
		"key twice":        {left + "name = \"right\"\n", "4:1: key name is already defined"},
		"table twice":      {left + "[defrag]\n[defrag]\n", "5:2: table defrag already exists"},

		"unknown table":        {left + "[[links]]\nname = \"x\"\n", "4:3: unknown key links in the file: want one of defrag, filter, zone, link, route, rule"},
		"unknown key":          {left + "mut = 1500\n", "4:1: unknown key mut in [[link]]: want one of name, netns, host_addresses, host_routes, addresses, mtu, backend, offload, queues, zone, check_source, icmp_errors"},
		"unknown top key":      {"timeout = \"5s\"\n" + left, "1:1: unknown key timeout in the file: want one of defrag, …"},
		"unknown in defrag":    {left + "[defrag]\nname = \"x\"\n", "5:1: unknown key name in [defrag]: want one of timeout, high, low, overlap, max_fragments, max_datagrams, total"},
		"unknown inline":       {left + "[defrag]\n[[route]]\nto = \"::/0\"\nlink = \"left\"\n[[rule]]\naction = \"deny\"\n[[zone]]\nname = \"a\"\ncolour = {red = 1}\n", "12:1: unknown key colour in [[zone]]: want one of name, …"},
		"case counts":          {left + "MTU = 1500\n", "4:1: unknown key MTU in [[link]]: …"},
		"quoted key":           {left + "\"mt u\" = 1500\n", "4:1: unknown key \"mt u\" in …"},
		"dotted key, quoted":   {"\"defrag.high\" = \"1MiB\"\n" + left, "1:1: unknown key \"defrag.high\" in …"},
		"two unknown keys":     {left + "a = 1\n  b = 2\n", "4:1: unknown key a in …\n5:3: unknown key b in …"},
		"unknown and bad":      {left + "a = 1\nmtu = 9\n", "4:1: unknown key a in …\n5:7: mtu = 9: want a whole number from 1280 to 65535"},
		"link as a table":      {"[link]\nname = \"left\"\n", "1:2: link: want tables of its own: [[link]]"},
		"defrag as tables":     {left + "[[defrag]]\nhigh = \"1MiB\"\n", "4:3: defrag: want a table: [defrag]"},
		"defrag as a value":    {"defrag = 5\n" + left, "1:10: defrag = 5: want a table: [defrag]"},
		"link as a value":      {"link = 5\n", "1:8: link = 5: want tables of its own: [[link]]"},
		"table in a link":      {left + "[link.mtu]\n", "4:7: mtu: want a whole number from 1280 to 65535"},
		"unknown table inside": {left + "[link.host]\nname = \"x\"\n", "4:7: unknown key host in [[link]]: …"},
		"inline tables":        {"link = [{name = \"left\"}, {name = \"left\"}]\n", "1:34: name = \"left\": the name of the link of line 1: names are unique"},
		"inline wrong type":    {"link = [{name = \"left\"}, {name = \"b\", mtu = \"x\"}]\n", "1:45: mtu = \"x\": want a whole number from 1280 to 65535"},

		"name missing":      {"[[link]]\nmtu = 1500\n", "1:3: [[link]]: name is missing: want the name of an interface: 1 to 15 octets without slash, colon, percent sign and white space"},
		"name empty":        {"[[link]]\nname = \"\"\n", "2:8: name = \"\": want the name of an interface: …"},
		"name too long":     {"[[link]]\nname = \"abcdefghijklmnop\"\n", "2:8: name = \"abcdefghijklmnop\": want the name of an interface: 1 to 15 octets …"},
		"name with slash":   {"[[link]]\nname = \"a/b\"\n", "2:8: name = \"a/b\": want …"},
		"name for patterns": {"[[link]]\nname = \"tun%d\"\n", "2:8: name = \"tun%d\": want …"},
		"name with space":   {"[[link]]\nname = \"a b\"\n", "2:8: name = \"a b\": want …"},
		"name dots":         {"[[link]]\nname = '..'\n", "2:8: name = '..': want …"},
		"name a number":     {"[[link]]\nname = 5\n", "2:8: name = 5: want the name of an interface: …"},
		"name twice":        {left + "[[link]]\nname = \"left\"\n", "5:8: name = \"left\": the name of the link of line 2: names are unique"},
		"netns empty":       {left + "netns = \"\"\n", "4:9: netns = \"\": want the name of a network namespace, or its path"},
		"netns dots":        {left + "netns = \"..\"\n", "4:9: netns = \"..\": want …"},

		"MTU low":          {left + "mtu = 1279\n", "4:7: mtu = 1279: want a whole number from 1280 to 65535"},
		"MTU high":         {left + "mtu   =   65536 # octets\n", "4:11: mtu = 65536: want a whole number from 1280 to 65535"},
		"MTU zero":         {left + "mtu = 0\n", "4:7: mtu = 0: want …"},
		"MTU negative":     {left + "mtu = -1\n", "4:7: mtu = -1: want …"},
		"MTU no number":    {left + "mtu = \"big\"\n", "4:7: mtu = \"big\": want a whole number from 1280 to 65535"},
		"MTU a fraction":   {left + "mtu = 1500.5\n", "4:7: mtu = 1500.5: want …"},
		"MTU enormous":     {left + "mtu = 99999999999999999999\n", "4:7: …64-bit…"},
		"MTU an array":     {left + "mtu = [1500]\n", "4:7: mtu = [1500]: want …"},
		"backend":          {left + "backend = \"wgtun\"\n", "4:11: backend = \"wgtun\": want \"auto\", \"native\" or \"water\""},
		"backend empty":    {left + "backend = \"\"\n", "4:11: backend = \"\": want \"auto\", …"},
		"backend number":   {left + "backend = 1\n", "4:11: backend = 1: want \"auto\", …"},
		"offload":          {left + "offload = \"off\"\n", "4:11: offload = \"off\": want true or false"},
		"queues negative":  {left + "queues = -1\n", "4:10: queues = -1: want a whole number from 0 to 16"},
		"queues high":      {left + "queues = 17\nbackend = \"water\"\n", "4:10: queues = 17: want a whole number from 0 to 16"},
		"queues no number": {left + "queues = \"two\"\n", "4:10: queues = \"two\": want a whole number from 0 to 16"},
		"queues of water":  {left + "queues = 2\nbackend = \"water\"\n", "4:10: queues = 2: backend water has one: want 0 or 1, or another backend"},
		"check_source":     {left + "check_source = \"yes\"\n", "4:16: check_source = \"yes\": want true or false"},
		"icmp_errors":      {left + "icmp_errors = 1\n", "4:15: icmp_errors = 1: want true or false"},
		"zone of a link":   {left + "zone = \"\"\n", "4:8: zone = \"\": want a name of 1 to 63 printable characters without spaces"},
		"zone with space":  {left + "zone = \"a b\"\n", "4:8: zone = \"a b\": want …"},

		"address without length": {"[[link]]\nname = \"a\"\naddresses = [\"fd00::1\"]\n", "3:14: addresses = \"fd00::1\": want an IPv6 unicast address and its prefix length, such as \"2001:db8:a::ff/64\""},
		"address too long":       {"[[link]]\nname = \"a\"\naddresses = [\"fd00::1/129\"]\n", "3:14: addresses = \"fd00::1/129\": want …"},
		"address IPv4":           {"[[link]]\nname = \"a\"\naddresses = [\"192.0.2.1/24\"]\n", "3:14: addresses = \"192.0.2.1/24\": want an IPv6 …"},
		"address mapped":         {"[[link]]\nname = \"a\"\naddresses = [\"::ffff:192.0.2.1/120\"]\n", "3:14: addresses = …: want an IPv6 …"},
		"address multicast":      {"[[link]]\nname = \"a\"\naddresses = [\"ff02::1/64\"]\n", "3:14: addresses = \"ff02::1/64\": want an IPv6 unicast …"},
		"address unspecified":    {"[[link]]\nname = \"a\"\naddresses = [\"::/64\"]\n", "3:14: addresses = \"::/64\": want an IPv6 unicast …"},
		"address loopback":       {"[[link]]\nname = \"a\"\naddresses = [\"::1/128\"]\n", "3:14: addresses = \"::1/128\": want an IPv6 unicast …"},
		"second address":         {"[[link]]\nname = \"a\"\naddresses = [\n  \"fd00::1/64\",\n  # a comment\n  \"nonsense\",\n]\n", "6:3: addresses = \"nonsense\": want …"},
		"address of wrong type":  {"[[link]]\nname = \"a\"\naddresses = [\"fd00::1/64\", 5]\n", "3:28: addresses = 5: want …"},
		"addresses no array":     {"[[link]]\nname = \"a\"\naddresses = \"fd00::1/64\"\n", "3:13: addresses = \"fd00::1/64\": want …"},
		"address twice":          {"[[link]]\nname = \"a\"\naddresses = [\"fd00::1/64\", \"fd00::1/72\"]\n", "3:28: addresses = \"fd00::1/72\": the link has it twice"},
		"address overlaps":       {left + "[[link]]\nname = \"a\"\naddresses = [\"2001:db8:a:0:1::1/80\"]\n", "6:14: addresses = \"2001:db8:a:0:1::1/80\": overlaps 2001:db8:a::ff/64 of link \"left\" in the same zone"},
		"address link-local":     {"[[link]]\nname = \"a\"\naddresses = [\"fe80::1/64\"]\n[[link]]\nname = \"b\"\naddresses = [\"fe80::1/64\"]\n", "6:14: addresses = \"fe80::1/64\": overlaps fe80::1/64 of link \"a\" in the same zone"},

		"host address bad":      {left + "host_addresses = [\"2001:db8:a::1\"]\n", "4:19: host_addresses = \"2001:db8:a::1\": want an IPv6 unicast address and its prefix length, such as …"},
		"host address ours":     {left + "host_addresses = [\"2001:db8:a::ff/64\"]\n", "4:19: host_addresses = \"2001:db8:a::ff/64\": the stack's address on the link: want another one for the host"},
		"host address twice":    {left + "host_addresses = [\"fd00::1/64\", \"fd00::1/64\"]\n", "4:33: host_addresses = \"fd00::1/64\": the link has it twice"},
		"host address of other": {left + "host_addresses = [\"fd00::1/64\"]\n" + right + "host_addresses = [\"fd00::1/64\"]\n", "9:19: host_addresses = \"fd00::1/64\": a host address of link \"left\" in the same network namespace"},
		"host route bad":        {left + "host_routes = [\"default\"]\n", "4:16: host_routes = \"default\": want an IPv6 prefix, such as \"2001:db8::/32\""},
		"host route bits":       {left + "host_routes = [\"2001:db8::1/32\"]\n", "4:16: host_routes = \"2001:db8::1/32\": bits are set beyond the prefix length: want 2001:db8::/32"},
		"host route twice":      {left + "host_routes = [\"::/0\", \"::/0\"]\n", "4:24: host_routes = \"::/0\": the link has it twice"},
		"host route of other":   {left + "host_routes = [\"::/0\"]\n" + right + "host_routes = [\"::/0\"]\n", "9:16: host_routes = \"::/0\": a host route of link \"left\" in the same network namespace"},

		"timeout zero":      {left + "[defrag]\ntimeout = \"0s\"\n", "5:11: timeout = \"0s\": want a duration above 0, such as \"60s\" or \"1m30s\""},
		"timeout negative":  {left + "[defrag]\ntimeout = \"-1s\"\n", "5:11: timeout = \"-1s\": want …"},
		"timeout no unit":   {left + "[defrag]\ntimeout = \"60\"\n", "5:11: timeout = \"60\": want …"},
		"timeout a number":  {left + "[defrag]\ntimeout = 60\n", "5:11: timeout = 60: want a duration …"},
		"high zero":         {left + "[defrag]\nhigh = \"0\"\n", "5:8: high = \"0\": want a size above 0, …"},
		"high unit":         {left + "[defrag]\nhigh = \"4MB\"\n", "5:8: high = \"4MB\": want a size above 0, …"},
		"low above high":    {left + "[defrag]\nhigh = \"1MiB\"\nlow = \"2MiB\"\n", "6:7: low = \"2MiB\": above high, which is \"1MiB\": want low ≤ high"},
		"low above default": {left + "[defrag]\nlow = \"5MiB\"\n", "5:7: low = \"5MiB\": above high, which is \"4MiB\": want low ≤ high"},
		"low above [defrag]": {left + "[defrag]\nhigh = \"1MiB\"\n[[zone]]\nname = \"a\"\nlow = \"2MiB\"\n",
			"8:7: low = \"2MiB\": above high, which is \"1MiB\": want low ≤ high"},
		"low zero":          {left + "[[zone]]\nname = \"a\"\nlow = \"0KiB\"\n", "6:7: low = \"0KiB\": want a size above 0, …"},
		"overlap":           {left + "[[zone]]\nname = \"a\"\noverlap = \"bsd\"\n", "6:11: overlap = \"bsd\": want \"rfc8200\", \"rfc5722\" or \"linux\""},
		"max_fragments":     {left + "[defrag]\nmax_fragments = 0\n", "5:17: max_fragments = 0: want a whole number from 1 to 65535"},
		"max_datagrams":     {left + "[defrag]\nmax_datagrams = -5\n", "5:17: max_datagrams = -5: want a whole number from 1 to 1000000000"},
		"total":             {left + "[defrag]\ntotal = \"0\"\n", "5:9: total = \"0\": want a size above 0, such as \"64MiB\""},
		"total below high":  {left + "[defrag]\ntotal = \"1MiB\"\n", "5:9: total = \"1MiB\": below high of zone \"default\", which is \"4MiB\": want high ≤ total"},
		"total below one":   {left + "[defrag]\ntotal = \"8MiB\"\n[[zone]]\nname = \"a\"\nhigh = \"9MiB\"\n", "5:9: total = \"8MiB\": below high of zone \"a\", which is \"9MiB\": want high ≤ total"},
		"max_flows":         {left + "[filter]\nmax_flows = 67108865\n", "5:13: max_flows = 67108865: want a whole number from 1 to 67108864"},
		"zone name missing": {left + "[[zone]]\nhigh = \"1MiB\"\n", "4:3: [[zone]]: name is missing: want a name of 1 to 63 printable characters without spaces"},
		"zone name empty":   {left + "[[zone]]\nname = \"\"\n", "5:8: name = \"\": want a name of 1 to 63 …"},
		"zone name long":    {left + "[[zone]]\nname = \"" + strings.Repeat("z", 64) + "\"\n", "5:8: name = \"zzz…\": want a name of 1 to 63 …"},
		"zone twice":        {left + "[[zone]]\nname = \"a\"\n[[zone]]\nname = \"a\"\n", "7:8: name = \"a\": the name of the zone of line 5: names are unique"},
		"default twice":     {left + "[[zone]]\nname = \"default\"\n[[zone]]\nname = \"default\"\n", "7:8: name = \"default\": the name of the zone of line 5: names are unique"},

		"route without to":     {left + "[[route]]\nlink = \"left\"\n", "4:3: [[route]]: to is missing: want an IPv6 prefix, such as \"2001:db8:b::/64\""},
		"route without link":   {left + "[[route]]\nto = \"::/0\"\n", "4:3: [[route]]: link is missing: want the name of a link"},
		"route to an address":  {left + "[[route]]\nto = \"2001:db8::1\"\nlink = \"left\"\n", "5:6: to = \"2001:db8::1\": want an IPv6 prefix, such as …"},
		"route to IPv4":        {left + "[[route]]\nto = \"192.0.2.0/24\"\nlink = \"left\"\n", "5:6: to = \"192.0.2.0/24\": want an IPv6 prefix, such as …"},
		"route with bits":      {left + "[[route]]\nto = \"2001:db8::1/64\"\nlink = \"left\"\n", "5:6: to = \"2001:db8::1/64\": bits are set beyond the prefix length: want 2001:db8::/64"},
		"route to multicast":   {left + "[[route]]\nto = \"ff00::/8\"\nlink = \"left\"\n", "5:6: to = \"ff00::/8\": packets to link-local and multicast addresses are not forwarded: want another prefix"},
		"route to link-local":  {left + "[[route]]\nto = \"fe80::/10\"\nlink = \"left\"\n", "5:6: to = \"fe80::/10\": packets to link-local …"},
		"route through none":   {left + right + "[[route]]\nto = \"::/0\"\nlink = \"rigth\"\n", "10:8: link = \"rigth\": no such link: want one of left, right"},
		"route in no zone":     {left + right + "[[route]]\nto = \"::/0\"\nlink = \"left\"\nzone = \"blue\"\n", "11:8: zone = \"blue\": no such zone: want one of default, red"},
		"route in empty zone":  {left + "[[zone]]\nname = \"a\"\n[[route]]\nto = \"::/0\"\nlink = \"left\"\nzone = \"a\"\n", "9:8: zone = \"a\": no link is in the zone, so nothing takes the route"},
		"route lacks its zone": {right + "[[route]]\nto = \"::/0\"\nlink = \"right\"\n", "5:3: [[route]]: zone is missing, and no link is in zone \"default\": want one of default, red"},
		"route twice":          {left + "[[route]]\nto = \"::/0\"\nlink = \"left\"\n[[route]]\nto = \"::/0\"\nlink = \"left\"\nzone = \"default\"\n", "8:6: to = \"::/0\": overlaps the route of line 5 in zone \"default\""},
		"route two ways":       {left + right + "[[route]]\nto = \"::/0\"\nlink = \"left\"\n[[route]]\nto = \"::/0\"\nlink = \"right\"\n", "12:6: to = \"::/0\": overlaps the route of line 9 in zone \"default\""},
		"route over a link":    {left + right + "[[route]]\nto = \"2001:db8:a::/64\"\nlink = \"right\"\n", "9:6: to = \"2001:db8:a::/64\": overlaps address 2001:db8:a::ff/64 of link \"left\" in zone \"default\""},

		"rule without action": {left + "[[rule]]\n", "4:3: [[rule]]: action is missing: want \"allow\", \"deny\" or \"reject\""},
		"rule action":         {left + "[[rule]]\naction = \"drop\"\n", "5:10: action = \"drop\": want \"allow\", \"deny\" or \"reject\""},
		"rule from no zone":   {left + right + "[[rule]]\nfrom = \"zone:blue\"\naction = \"deny\"\n", "9:8: from = \"zone:blue\": no such zone: want one of default, red"},
		"rule to no link":     {left + right + "[[rule]]\nto = \"link:middle\"\naction = \"deny\"\n", "9:6: to = \"link:middle\": no such link: want one of left, right"},
		"rule from a name":    {left + "[[rule]]\nfrom = \"left\"\naction = \"deny\"\n", "5:8: from = \"left\": want \"zone:NAME\", \"link:NAME\" or \"any\""},
		"rule to nothing":     {left + "[[rule]]\nto = \"link:\"\naction = \"deny\"\n", "5:6: to = \"link:\": want \"zone:NAME\", …"},
		"rule from nothing":   {left + "[[rule]]\nfrom = \"\"\naction = \"deny\"\n", "5:8: from = \"\": want \"zone:NAME\", …"},
		"rule protocol name":  {left + "[[rule]]\nprotocol = \"icmp\"\naction = \"deny\"\n", "5:12: protocol = \"icmp\": want \"udp\", \"tcp\", \"icmpv6\" or a number from 1 to 255"},
		"rule protocol 0":     {left + "[[rule]]\nprotocol = 0\naction = \"deny\"\n", "5:12: protocol = 0: want …"},
		"rule protocol 256":   {left + "[[rule]]\nprotocol = \"256\"\naction = \"deny\"\n", "5:12: protocol = \"256\": want …"},
		"rule protocol array": {left + "[[rule]]\nprotocol = [6]\naction = \"deny\"\n", "5:12: protocol = [6]: want …"},
		"rule source":         {left + "[[rule]]\nsource = \"2001:db8::1\"\naction = \"deny\"\n", "5:10: source = \"2001:db8::1\": want an IPv6 prefix, such as \"2001:db8:a::/64\""},
		"rule destination":    {left + "[[rule]]\ndestination = \"2001:db8::1/64\"\naction = \"deny\"\n", "5:15: destination = \"2001:db8::1/64\": bits are set beyond the prefix length: want 2001:db8::/64"},
		"rule port":           {left + "[[rule]]\nprotocol = \"udp\"\nsource_ports = [\"53\", \"http\"]\naction = \"deny\"\n", "6:23: source_ports = \"http\": want ports from 0 to 65535 and ranges of them, such as [\"53\", \"8000-8100\"]"},
		"rule port too high":  {left + "[[rule]]\nprotocol = \"tcp\"\ndestination_ports = [\"65536\"]\naction = \"deny\"\n", "6:22: destination_ports = \"65536\": want ports …"},
		"rule ports turned":   {left + "[[rule]]\nprotocol = \"tcp\"\ndestination_ports = [\"9-8\"]\naction = \"deny\"\n", "6:22: destination_ports = \"9-8\": want ports …"},
		"rule ports empty":    {left + "[[rule]]\nprotocol = \"tcp\"\ndestination_ports = []\naction = \"deny\"\n", "6:21: destination_ports = []: want ports …"},
		"rule port number":    {left + "[[rule]]\nprotocol = \"tcp\"\ndestination_ports = [53]\naction = \"deny\"\n", "6:22: destination_ports = 53: want ports …"},
		"rule ports alone":    {left + "[[rule]]\ndestination_ports = [\"53\"]\naction = \"deny\"\n", "5:21: destination_ports = [\"53\"]: only with protocol \"tcp\" or \"udp\" are there ports"},
		"rule types alone":    {left + "[[rule]]\nprotocol = \"udp\"\nicmpv6_types = [128]\naction = \"deny\"\n", "6:16: icmpv6_types = [128]: only with protocol \"icmpv6\" are there types"},
		"rule type":           {left + "[[rule]]\nprotocol = \"icmpv6\"\nicmpv6_types = [128, 256]\naction = \"deny\"\n", "6:22: icmpv6_types = 256: want numbers from 0 to 255, such as [128, 129]"},
		"rule types empty":    {left + "[[rule]]\nprotocol = \"icmpv6\"\nicmpv6_types = []\naction = \"deny\"\n", "6:16: icmpv6_types = []: want numbers from 0 to 255, such as [128, 129]"},
		"rule stateful":       {left + "[[rule]]\nstateful = \"no\"\naction = \"deny\"\n", "5:12: stateful = \"no\": want true or false"},
		"rule name":           {left + "[[rule]]\nname = \"\"\naction = \"deny\"\n", "5:8: name = \"\": want a name of 1 to 63 …"},
		"rule name twice":     {left + "[[rule]]\nname = \"a\"\naction = \"deny\"\n[[rule]]\nname = \"a\"\naction = \"deny\"\n", "8:8: name = \"a\": the name of the rule of line 5: names are unique"},
		"a value of many lines": {left + "[[rule]]\nsource = \"\"\"\nnonsense\"\"\"\naction = \"deny\"\n",
			"5:10: source = \"\"\"…: want an IPv6 prefix, …"},
		"all at once": {"[defrag]\nhigh = \"x\"\n[[link]]\nname = \"left\"\nmtu = 1\n[[route]]\nto = \"x\"\nlink = \"y\"\n[[rule]]\naction = \"z\"\n",
			"2:8: high = …\n5:7: mtu = …\n7:6: to = …\n8:8: link = …\n10:10: action = …"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("router.toml", []byte(test.text))
			var bad *config.Error
			if !errors.As(err, &bad) || bad.File != "router.toml" {
				t.Fatalf("error %v, want one of the file", err)
			}
			got, want := strings.Split(err.Error(), "\n"), strings.Split(test.want, "\n")
			if len(got) != len(want) {
				t.Fatalf("got\n%v\nwant\n%s", err, test.want)
			}
			for i := range want {
				if !resembles(got[i], "router.toml:"+want[i]) {
					t.Errorf("got\n%s\nwant\n%s", got[i], want[i])
				}
			}
		})
	}
}

// resembles reports whether text is the pattern, in which "…" stands for
// anything.
func resembles(text, pattern string) bool {
	parts := strings.Split(pattern, "…")
	text, ok := strings.CutPrefix(text, parts[0])
	for i, part := range parts[1:] {
		if i == len(parts)-2 {
			return ok && strings.HasSuffix(text, part)
		}
		_, after, found := strings.Cut(text, part)
		text, ok = after, ok && found
	}
	return ok && text == ""
}
