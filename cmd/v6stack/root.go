package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/v6stack/v6stack/internal/config"
)

// streams are the standard streams of the program.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// execute runs the program with args and returns its exit status. Errors go to
// s.err, one line each.
func execute(ctx context.Context, args []string, s streams) int {
	begun := false
	root := newRootCommand()
	root.PersistentPreRun = func(*cobra.Command, []string) { begun = true }
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !begun {
		err = usageError{err}
	}
	report(s.err, cmd, err)
	return exitStatus(err)
}

// report writes err and, for a usage error, where to read on. What is wrong with
// a file stands by itself, as compilers and editors have it.
func report(w io.Writer, cmd *cobra.Command, err error) {
	var bad *config.Error
	switch {
	case err == nil:
		return
	case errors.As(err, &bad):
		fmt.Fprintln(w, bad)
		return
	}
	fmt.Fprintf(w, "%s: %v\n", cmd.CommandPath(), err)
	if exitStatus(err) == exitUsage {
		fmt.Fprintf(w, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
}

// newRootCommand returns the program's command with all its subcommands.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "v6stack",
		Short: "gVisor's network stack with IPv6 reassembly ahead of it",
		Long: `v6stack puts IPv6 reassembly ahead of gVisor's network stack, as Linux's
connection tracking does ahead of its own: whatever looks at ports sees whole
packets, never fragments.`,
		Example: `  # See what it does; needs no privilege.
  v6stack demo

  # An echo server behind a TUN device.
  v6stack run --tun v6s0 --host-addr fd00:6::1/64 --addr fd00:6::2/64 --echo 7`,
		Version:       programVersion(),
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newDemoCommand(), newRunCommand(), newCheckCommand(), newStatusCommand(), newDefragCommand(), newVersionCommand())
	refuseUnknownTopics(root)
	return root
}

// noSuchCommand refuses arguments in the place of a subcommand.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usagef("unknown command %q: want one of %s", args[0], strings.Join(names, ", "))
}

// refuseUnknownTopics makes "help" for an unknown command a usage error.
func refuseUnknownTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			continue
		}
		c.Args = func(_ *cobra.Command, args []string) error {
			if topic, rest, err := root.Find(args); err != nil || len(rest) > 0 {
				return noSuchCommand(topic, rest)
			}
			return nil
		}
	}
}
