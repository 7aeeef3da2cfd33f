package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/v6stack/v6stack/internal/capture"
)

// defragFlags are the flags of the defrag command.
type defragFlags struct {
	reassembly reassemblyFlags
	zone       zoningFlag
	errors     string
	json       bool
}

// A zoningFlag says by name what is reassembled apart.
type zoningFlag capture.Zoning

// Set parses text; it implements pflag.Value.
func (f *zoningFlag) Set(text string) error {
	zoning, err := capture.ParseZoning(text)
	*f = zoningFlag(zoning)
	return err
}

// String returns the zoning's name.
func (f *zoningFlag) String() string { return capture.Zoning(*f).String() }

// Type names the kind of value in the help text.
func (f *zoningFlag) Type() string { return "zone" }

// newDefragCommand returns the command that reassembles capture files.
func newDefragCommand() *cobra.Command {
	var flags defragFlags
	cmd := &cobra.Command{
		Use:   "defrag IN OUT",
		Short: "Reassemble the IPv6 datagrams in a capture file",
		Long: `defrag copies the capture file IN to OUT and puts, in the place of each IPv6
fragment that completes a datagram, the datagram. The other fragments are left
out; those that complete no datagram are listed with the reason. Everything
else stays as it is and in order.

Both files are pcap or pcapng, with the link types raw IP, Ethernet (with VLAN
tags), Linux SLL and SLL2, null and loop; - is standard input or output. The
list and the counts go to standard output, or to standard error where OUT is
standard output. The time stamps of IN are the clock.`,
		Example: `  # A capture in which every datagram is whole.
  v6stack defrag in.pcapng out.pcapng

  # Watch live, with what the hosts would have complained about in a file.
  tcpdump -i eth0 -U -w - ip6 | v6stack defrag --errors errors.pcap - - | tshark -r -

  # Which fragments were lost, and why?
  v6stack defrag --json in.pcap /dev/null | jq .dropped`,
		Args: defragArgs,
	}
	f := cmd.Flags()
	flags.reassembly.register(f)
	f.Var(&flags.zone, "zone", "what is reassembled apart: none, interface or vlan")
	f.StringVar(&flags.errors, "errors", "", "write the ICMPv6 errors that a node would have sent to this capture `file`")
	f.BoolVar(&flags.json, "json", false, "list and count in JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts := capture.Options{Zoning: capture.Zoning(flags.zone)}
		var err error
		if opts.Zone, err = flags.reassembly.zone(cmd.Flags()); err != nil {
			return err
		}
		return runDefrag(cmd, flags.json, opts, defragPaths{args[0], args[1], flags.errors})
	}
	return cmd
}

// defragArgs wants two arguments.
func defragArgs(_ *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usagef("%d arguments: want IN and OUT", len(args))
	}
	return nil
}

// runDefrag does the work: OUT is not touched before IN is known to be a
// capture.
func runDefrag(cmd *cobra.Command, asJSON bool, opts capture.Options, paths defragPaths) (err error) {
	files := defragFiles{paths: paths, stdin: cmd.InOrStdin(), stdout: cmd.OutOrStdout()}
	defer func() {
		if closeErr := files.close(); err == nil {
			err = closeErr
		}
	}()
	if err := files.openIn(); err != nil {
		return err
	}
	bar := newProgress(files.in, cmd.ErrOrStderr())
	reader, err := capture.NewReader(bar)
	if err != nil {
		return fmt.Errorf("%s: %w", paths.in, err)
	}
	if err := files.create(); err != nil {
		return err
	}
	report := newDefragReport(asJSON, bar.below(files.reportTo(cmd.OutOrStdout(), cmd.ErrOrStderr())))
	opts.OnLoss = report.loss
	if files.errors != nil {
		opts.Errors = files.errors
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills
	counts, err := capture.Defragment(ctx, reader, files.out, opts)
	bar.clear()
	var damage *capture.Damage
	if errors.As(err, &damage) {
		err = fmt.Errorf("%s: %w", paths.in, err)
	}
	if reportErr := report.end(&counts, err); err == nil {
		err = reportErr
	}
	return err
}
