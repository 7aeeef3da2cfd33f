package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/v6stack/v6stack/internal/config"
	"github.com/v6stack/v6stack/internal/size"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
	"github.com/v6stack/v6stack/tun"
)

// newCheckCommand returns the command that checks a configuration.
func newCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a router's configuration",
		Long: `check reads a configuration of "run --config" and prints what it found: links,
zones, routes and rules. What is wrong is told as FILE:LINE:COLUMN: MESSAGE, all
at once, and the status is 2. It needs no privilege and starts nothing. Network
namespaces that this machine does not have are a warning here; "run" refuses
them.`,
		Example: `  v6stack check examples/router.toml`,
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(args[0])
			if err != nil {
				return usageError{err}
			}
			if err := cfg.CheckNamespaces(); err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), warnings(err))
			}
			return printConfig(cmd.OutOrStdout(), args[0], cfg)
		},
	}
}

// oneFile refuses anything but one argument.
func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("%d arguments %q: want one FILE", len(args), args)
	}
	return nil
}

// warnings returns the problems of err as warnings, one a line.
func warnings(err error) string {
	var bad *config.Error
	if !errors.As(err, &bad) {
		return err.Error()
	}
	lines := make([]string, len(bad.Problems))
	for i, p := range bad.Problems {
		lines[i] = fmt.Sprintf("%s:%d:%d: warning: %s", bad.File, p.Line, p.Column, p.Message)
	}
	return strings.Join(lines, "\n")
}

// countParts returns how many parts of each kind a configuration has.
func countParts(cfg *config.Config) string {
	var parts []string
	for _, part := range []struct {
		n    int
		name string
	}{
		{len(cfg.Stack.Links), "link"},
		{len(cfg.Stack.Zones), "zone"},
		{len(cfg.Stack.Routes), "route"},
		{len(cfg.Stack.Rules), "rule"},
	} {
		if part.n != 1 {
			part.name += "s"
		}
		parts = append(parts, fmt.Sprintf("%d %s", part.n, part.name))
	}
	return strings.Join(parts, ", ")
}

// printConfig prints a configuration as tables.
func printConfig(w io.Writer, file string, cfg *config.Config) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s: %s\n", file, countParts(cfg))
	printLinks(t, cfg)
	printZones(t, cfg.Stack.Zones)
	printRoutes(t, cfg.Stack.Routes)
	printRules(t, cfg.Stack.Rules)
	return t.Flush()
}

func printLinks(w io.Writer, cfg *config.Config) {
	fmt.Fprint(w, "\nLINK\tZONE\tMTU\tBACKEND\tOFFLOAD\tQUEUES\tNETNS\tADDRESSES\tHOST ADDRESSES\tHOST ROUTES\tCHECK SOURCE\n")
	for i := range cfg.Stack.Links {
		link, device := &cfg.Stack.Links[i], &cfg.TUNs[i]
		fmt.Fprintf(w, "%s\t%s\t%d\t%v\t%v\t%s\t%s\t%s\t%s\t%s\t%s\n", link.Name, link.Zone, device.MTU,
			device.Backend, offload(device), queues(device), cmp.Or(device.NetNS, "-"),
			list(link.Addresses), list(device.HostAddresses), list(device.HostRoutes), checkSource(link))
	}
}

// offload returns whether a device may leave work to the system.
func offload(device *tun.Config) string {
	on := switchFlag(!device.NoOffload)
	return on.String()
}

// queues returns how many queues a device is to have.
func queues(device *tun.Config) string {
	if device.Queues == 0 {
		return "auto"
	}
	return fmt.Sprint(device.Queues)
}

// checkSource returns whether the router looks at sources on a link: unless the
// file says, it does so where there is an address that is not link-local.
func checkSource(link *stack.LinkConfig) string {
	on := slices.ContainsFunc(link.Addresses, func(p netip.Prefix) bool { return !p.Addr().IsLinkLocalUnicast() })
	if link.CheckSource != nil {
		on = *link.CheckSource
	}
	if on {
		return "on"
	}
	return "off"
}

func printZones(w io.Writer, zones []stack.ZoneConfig) {
	fmt.Fprint(w, "\nZONE\tTIMEOUT\tHIGH\tLOW\tOVERLAP\tMAX FRAGMENTS\tMAX DATAGRAMS\n")
	for i := range zones {
		d := &zones[i].Defrag
		fmt.Fprintf(w, "%s\t%v\t%s\t%s\t%v\t%s\t%s\n", zones[i].Name, d.Timeout, size.Format(d.High), size.Format(d.Low),
			d.Policy, limit(d.MaxFragments), limit(d.MaxDatagrams))
	}
}

// limit returns a limit, where 0 is none.
func limit(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func printRoutes(w io.Writer, routes []stack.Route) {
	if len(routes) == 0 {
		return
	}
	fmt.Fprint(w, "\nROUTE\tLINK\tZONE\n")
	for i := range routes {
		fmt.Fprintf(w, "%v\t%s\t%s\n", routes[i].Prefix, routes[i].Link, routes[i].Zone)
	}
}

func printRules(w io.Writer, rules []filter.Rule) {
	if len(rules) == 0 {
		return
	}
	fmt.Fprint(w, "\nRULE\tNAME\tACTION\tFROM\tTO\tPROTOCOL\tSOURCE\tDESTINATION\tTYPES\tSTATEFUL\n")
	for i := range rules {
		r := &rules[i]
		fmt.Fprintf(w, "%d\t%s\t%v\t%v\t%v\t%s\t%s\t%s\t%s\t%t\n", i+1, cmp.Or(r.Name, "-"), r.Action, r.From, r.To,
			protocol(r.Protocol), endOf(r.Source, r.SourcePorts), endOf(r.Destination, r.DestinationPorts),
			list(r.ICMPTypes), !r.Stateless)
	}
}

// protocol returns a rule's protocol by name or number.
func protocol(number int) string {
	switch number {
	case filter.AnyProtocol:
		return "any"
	case filter.TCP:
		return "tcp"
	case filter.UDP:
		return "udp"
	case filter.ICMPv6:
		return "icmpv6"
	}
	return fmt.Sprint(number)
}

// endOf returns the addresses and ports at one end of a rule's packets.
func endOf(prefix netip.Prefix, ports []filter.PortRange) string {
	text := "any"
	if prefix.IsValid() {
		text = prefix.String()
	}
	if len(ports) > 0 {
		text += " port " + list(ports)
	}
	return text
}

// list returns values separated by commas, or a hyphen if there are none.
func list[T any](values []T) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = fmt.Sprint(value)
	}
	return cmp.Or(strings.Join(texts, ","), "-")
}
