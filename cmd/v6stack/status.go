package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/v6stack/v6stack/internal/control"
)

// Bounds of --watch.
const (
	watchEvery = 2 * time.Second
	watchLeast = 100 * time.Millisecond
)

// statusFlags are the flags of the status command.
type statusFlags struct {
	control     socketFlag
	json, flows bool
	watch       intervalFlag
}

// newStatusCommand returns the command that shows how a running stack is.
func newStatusCommand() *cobra.Command {
	var flags statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how a running v6stack is",
		Long: `status asks a "v6stack run" of the same user, through its control socket, and
shows links, zones with what they hold for reassembly, what was dropped and why,
rules and flows. Counters count since the start.

--watch shows that again and again until SIGINT or SIGTERM: in place on a
terminal, else one after another, with --json each on a line of its own.

The status is 0 if the answer was shown, 1 if there was none, 2 for bad usage.`,
		Example: `  v6stack status

  # Every half second, in place.
  v6stack status --watch=500ms

  # What was dropped in each zone, for a program.
  v6stack status --json | jq '.zones[] | {name, drops}'`,
		Args: noStatusArguments,
	}
	flags.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		if flags.watch == 0 {
			return flags.show(ctx, cmd.OutOrStdout())
		}
		ticker := time.NewTicker(time.Duration(flags.watch))
		defer ticker.Stop()
		return flags.follow(ctx, ticker.C, cmd.OutOrStdout())
	}
	return cmd
}

// noStatusArguments refuses arguments, also where one looks like --watch's.
func noStatusArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown argument %q: want none; an interval goes with an equals sign, as in --watch=2s", args[0])
	}
	return nil
}

// register adds the flags to set.
func (f *statusFlags) register(set *pflag.FlagSet) {
	f.control.path = control.DefaultPath()
	set.Var(&f.control, controlName, "unix socket of the v6stack to ask, as its --control has it")
	set.BoolVar(&f.json, "json", false, "print JSON")
	set.BoolVar(&f.flows, "flows", false, "list the flows, too")
	set.Var(&f.watch, "watch", "show it again at this interval, at least "+watchLeast.String())
	set.Lookup("watch").NoOptDefVal = watchEvery.String()
}

// show asks once and shows the answer.
func (f *statusFlags) show(ctx context.Context, w io.Writer) error {
	snapshot, err := control.Ask(ctx, f.control.path, f.flows)
	if err != nil {
		return err
	}
	if !f.json {
		return printStatus(w, &snapshot)
	}
	encoder := json.NewEncoder(w)
	if f.watch == 0 {
		encoder.SetIndent("", "  ")
	}
	return encoder.Encode(snapshot)
}

// follow shows the answer now and at each tick, until ctx is done.
func (f *statusFlags) follow(ctx context.Context, ticks <-chan time.Time, w io.Writer) error {
	file, ok := w.(*os.File)
	redraw := ok && characterDevice(file) && !f.json
	for first := true; ; first = false {
		var page bytes.Buffer
		err := f.show(ctx, &page)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if err := turnPage(w, page.Bytes(), first, redraw, f.json); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
		}
	}
}

// turnPage writes a page where the one before was, or below it.
func turnPage(w io.Writer, page []byte, first, redraw, lines bool) error {
	switch {
	case redraw:
		page = overwriting(page, first)
	case !first && !lines:
		page = append([]byte("\n"), page...)
	}
	_, err := w.Write(page)
	return err
}

// overwriting returns a page with the controls that put it on a terminal's
// screen from the top, over what is there.
func overwriting(page []byte, first bool) []byte {
	const home, clearScreen, clearLine, clearBelow = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"
	screen := bytes.ReplaceAll(page, []byte("\n"), []byte(clearLine+"\n"))
	begin := home
	if first {
		begin = clearScreen + home
	}
	return append(append([]byte(begin), screen...), clearBelow...)
}

// An intervalFlag is how often something is done.
type intervalFlag time.Duration

// Set parses text; it implements pflag.Value.
func (f *intervalFlag) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < watchLeast {
		return fmt.Errorf("want a duration of at least %v, such as %v", watchLeast, watchEvery)
	}
	*f = intervalFlag(d)
	return nil
}

// String returns the interval, or nothing if it is not set.
func (f *intervalFlag) String() string {
	if *f == 0 {
		return ""
	}
	return time.Duration(*f).String()
}

// Type names the kind of value in the help text.
func (f *intervalFlag) Type() string { return "duration" }
