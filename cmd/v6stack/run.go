package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/internal/jack"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// maxTotal is the memory that reassembly may take unless --frag-high says more.
const maxTotal = defrag.DefaultTotal

// runFlags are the flags of the run command.
type runFlags struct {
	tun, netns            string
	hostAddrs, hostRoutes prefixesFlag
	addrs                 prefixesFlag
	mtu, echo             numberFlag
	backend               backendFlag
	offload               switchFlag
	queues                numberFlag
	reassembly            reassemblyFlags
	noICMPErrors          bool
	pcap                  string
	file                  string
	observe               observeFlags
}

// fileFlag is the flag that takes the place of those about one link.
const fileFlag = "config"

// newRunCommand returns the command that runs a stack on a TUN device.
func newRunCommand() *cobra.Command {
	var flags runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the stack on TUN devices",
		Long: `run opens a TUN device and runs a network stack at its far end, which answers
pings and, on request, echoes TCP and UDP. IPv6 datagrams are reassembled ahead
of the stack. When packets flow it prints the line "ready" on standard output;
SIGINT or SIGTERM ends it, and the device is gone. Nothing is forwarded.

With --config it is a router between the TUN devices that a file describes, with
zones and a packet filter; SIGHUP has it read the file again. A file that has
anything wrong changes nothing. A device that disappears is opened again, once a
second, until that succeeds; the other links go on.

On Linux, TCP segments cross to the kernel and back as large as they come, and
more than one processor may read: what the device and the kernel agreed on is
said on standard error, and --offload=off, --queues and --backend restrict it.

What goes on is shown by "v6stack status", which asks over a unix socket that
only the same user may connect to, and by --metrics, for Prometheus.

--pcap writes a pcapng file of two interfaces: "wire" is the link as it is, in
both directions; "reassembled" is what the stack is handed, datagrams whole.
Packets that the file is too slow for are left out, and counted in the file.`,
		Example: `  # As root; then: ping -6 -s 65000 fd00:6::2, socat - UDP6:[fd00:6::2]:7
  v6stack run --tun v6s0 --host-addr fd00:6::1/64 --addr fd00:6::2/64 --echo 7

  # The host's side in a namespace of its own.
  ip netns add lab
  v6stack run --tun v6s0 --netns lab --host-addr fd00:6::1/64 --addr fd00:6::2/64

  # Watch fragments, and what becomes of them.
  v6stack run --tun v6s0 --host-addr fd00:6::1/64 --addr fd00:6::2/64 --pcap run.pcapng

  # A router between two namespaces, which examples/two-hosts.sh sets up.
  v6stack run --config examples/router.toml`,
		Args: cobra.NoArgs,
	}
	flags.register(cmd.Flags())
	flags.observe.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second signal kills
		if cmd.Flags().Changed(fileFlag) {
			return runFile(ctx, &flags, cmd)
		}
		cfg, err := flags.config(cmd.Flags())
		if err != nil {
			return err
		}
		return runOnTUN(ctx, &flags, cfg, cmd.OutOrStdout())
	}
	return cmd
}

// register adds the flags to set.
func (f *runFlags) register(set *pflag.FlagSet) {
	f.mtu = numberFlag{value: tun.DefaultMTU, least: tun.MinMTU, most: tun.MaxMTU}
	f.echo = numberFlag{least: 1, most: 65535}
	f.offload = true
	f.queues = numberFlag{most: tun.MaxQueues}
	set.StringVar(&f.tun, "tun", "", "`name` of the TUN device; the system chooses one if it is empty")
	set.StringVar(&f.netns, "netns", "", "network namespace, by `name` or path, where the host's side of the device lives")
	set.Var(&f.hostAddrs, "host-addr", "address of the host's side with its prefix length; repeatable")
	set.Var(&f.hostRoutes, "host-route", "prefix that the host routes into the device; repeatable")
	set.Var(&f.addrs, "addr", "address of the stack with its prefix length; repeatable, at least one")
	set.Var(&f.mtu, "mtu", "longest packet on the link in octets, from 1280 to 65535")
	set.Var(&f.echo, "echo", "port on which TCP and UDP are echoed, from 1 to 65535; none if absent")
	set.Var(&f.backend, "backend", "how the device is opened: auto, native or water")
	set.Var(&f.offload, "offload", "have large segments and checksums left to the system where it can: on or off")
	set.Var(&f.queues, "queues", fmt.Sprintf("queues of the device, from 0 to %d; 0, or absent, for as many as are useful", tun.MaxQueues))
	f.reassembly.register(set)
	set.BoolVar(&f.noICMPErrors, "no-icmp-errors", false, "send no ICMPv6 errors about fragments")
	set.StringVar(&f.pcap, "pcap", "", "write packets, before and after reassembly, to this pcapng `file`")
	set.StringVar(&f.file, fileFlag, "", "be the router that this TOML `file` describes; goes without the flags about one link")
}

// runFile runs the router that a file describes until ctx is done.
func runFile(ctx context.Context, flags *runFlags, cmd *cobra.Command) error {
	if others := linkFlagsOf(cmd.Flags()); len(others) > 0 {
		return usagef("--%s %q with %s: want one or the other; the file says it all", fileFlag, flags.file, strings.Join(others, ", "))
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	notices := log.New(cmd.ErrOrStderr(), cmd.CommandPath()+": ", 0)
	r := &router{
		file:    flags.file,
		open:    noting(jack.OpenTUN, notices),
		reloads: reload,
		observe: &flags.observe,
		stdout:  cmd.OutOrStdout(),
		notices: notices,
	}
	return r.run(ctx)
}

// linkFlagsOf returns the flags about one link that were given, with their
// dashes.
func linkFlagsOf(set *pflag.FlagSet) (given []string) {
	about := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(runFlags).register(about)
	set.Visit(func(flag *pflag.Flag) {
		if flag.Name != fileFlag && about.Lookup(flag.Name) != nil {
			given = append(given, "--"+flag.Name)
		}
	})
	return given
}

// config checks the flags of set, which has been parsed, against each other
// and returns the stack's configuration, without a link's endpoint.
func (f *runFlags) config(set *pflag.FlagSet) (stack.Config, error) {
	if len(f.addrs) == 0 {
		return stack.Config{}, usagef("--addr is missing: want at least one IPv6 address with its prefix length, such as fd00:6::2/64")
	}
	if f.queues.value > 1 && tun.Backend(f.backend) == tun.Water {
		return stack.Config{}, usagef("--queues %d with --backend water: want 0 or 1, or another backend", f.queues.value)
	}
	zone, err := f.reassembly.zone(set)
	if err != nil {
		return stack.Config{}, err
	}
	const link = "tun"
	return stack.Config{
		Engine: defrag.Config{Zone: zone, Total: max(maxTotal, zone.High)},
		Links: []stack.LinkConfig{{
			Name:         link,
			Addresses:    f.addrs,
			NoICMPErrors: f.noICMPErrors,
		}},
		Routes: []stack.Route{{Prefix: netip.PrefixFrom(netip.IPv6Unspecified(), 0), Link: link}},
	}, nil
}

// runOnTUN opens the device and runs a stack on it until ctx is done.
func runOnTUN(ctx context.Context, flags *runFlags, cfg stack.Config, stdout io.Writer) error {
	device, err := tun.Open(tun.Config{
		Name:          flags.tun,
		MTU:           flags.mtu.value,
		Backend:       tun.Backend(flags.backend),
		NoOffload:     !bool(flags.offload),
		Queues:        flags.queues.value,
		NetNS:         flags.netns,
		HostAddresses: flags.hostAddrs,
		HostRoutes:    flags.hostRoutes,
	})
	if errors.Is(err, tun.ErrConfig) {
		return usagef("--tun %q, --netns %q: %w", flags.tun, flags.netns, err)
	}
	if err != nil {
		return err
	}
	flags.observe.notice("%s", features(device.Name(), device.Features()))
	return errors.Join(runOn(ctx, device.Endpoint(), flags, cfg, stdout), device.Close())
}

// runOn runs a stack on endpoint, which the caller closes, until ctx is done.
func runOn(ctx context.Context, endpoint gstack.LinkEndpoint, flags *runFlags, cfg stack.Config, stdout io.Writer) (err error) {
	link := &cfg.Links[0]
	link.Endpoint = endpoint
	if flags.pcap != "" {
		capture, err := captureLink(link, flags.pcap)
		if err != nil {
			return fmt.Errorf("--pcap: %w", err)
		}
		defer func() { err = errors.Join(err, capture.Close()) }()
	}
	s, err := stack.New(cfg)
	if err != nil {
		return usagef("--addr: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	observation, err := flags.observe.start(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, observation.close()) }()
	if flags.echo.value != 0 {
		service, err := serveEcho(s, flags.addrs, flags.echo.value)
		if err != nil {
			return fmt.Errorf("--echo %d: %w", flags.echo.value, err)
		}
		defer service.close()
	}
	if _, err := fmt.Fprintln(stdout, "ready"); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
