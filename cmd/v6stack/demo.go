package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/v6stack/v6stack/internal/sandbox"
)

const (
	// demoPings are sent, each with a payload of demoPayload octets.
	demoPings   = 3
	demoPayload = 8000
	// demoPatience is when a demonstration that hangs is given up.
	demoPatience = 30 * time.Second
)

// demoFlags are the flags of the demo command.
type demoFlags struct {
	requireKernel bool
	// inside says that this process is the child in the sandbox.
	inside bool
}

// insideFlag is the hidden flag of the child in the sandbox.
const insideFlag = "inside-sandbox"

// newDemoCommand returns the command that shows the whole path at work.
func newDemoCommand() *cobra.Command {
	var flags demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a fragmented ping go the whole way, and check every byte",
		Long: `demo has this machine's kernel ping gVisor's network stack through a TUN device,
in a private network of its own, with payloads too long for one packet. It
shows the fragments on the wire, the datagram that v6stack makes of them, and
the reply, and fails if one byte of a reply is lost or differs.

It needs user namespaces (or root) and /dev/net/tun. Where the system refuses
them it says so, and two network stacks in memory do the same.`,
		Example: `  v6stack demo

  # Only the real thing counts.
  v6stack demo --require-kernel`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&flags.requireKernel, "require-kernel", false, "fail where the kernel cannot take part")
	cmd.Flags().BoolVar(&flags.inside, insideFlag, false, "")
	_ = cmd.Flags().MarkHidden(insideFlag) // there is such a flag
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		ctx, cancel := context.WithTimeout(ctx, demoPatience)
		defer cancel()
		return runDemo(ctx, flags, cmd.OutOrStdout())
	}
	return cmd
}

// runDemo demonstrates with the kernel, or else in memory.
func runDemo(ctx context.Context, flags demoFlags, stdout io.Writer) error {
	if flags.inside {
		return demonstrateInside(ctx, stdout)
	}
	err := demonstrateInSandbox(ctx, stdout)
	var refused *refusedError
	switch {
	case !errors.As(err, &refused):
		return err
	case flags.requireKernel:
		return errors.New(refused.Error())
	}
	if _, err := fmt.Fprintf(stdout, "%v\n\n", refused); err != nil {
		return err
	}
	stage, err := newMemoryStage()
	if err != nil {
		return err
	}
	return demonstrate(ctx, stage, newPainter(stdout))
}

// A refusedError is why this system does not let its kernel take part. It has
// an exit status of its own, by which the child in the sandbox tells it to its
// parent.
type refusedError struct{ reason string }

func (r *refusedError) Error() string { return refusedPrefix + r.reason }

const refusedPrefix = "the kernel cannot take part: "

// demonstrateInSandbox runs the program again in a sandbox, there to
// demonstrate with the kernel.
func demonstrateInSandbox(ctx context.Context, stdout io.Writer) error {
	if err := sandbox.Available(); err != nil {
		return &refusedError{err.Error()}
	}
	var stderr bytes.Buffer
	child := sandbox.Command(ctx, "demo", "--"+insideFlag)
	child.Stdout, child.Stderr = stdout, &stderr
	err := child.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("given up: %w", context.Cause(ctx))
	}
	report := strings.TrimSpace(strings.TrimPrefix(stderr.String(), "v6stack demo: "))
	var exit *exec.ExitError
	switch {
	case !errors.As(err, &exit) || report == "":
		return fmt.Errorf("run in a sandbox: %w", err)
	case exit.ExitCode() == exitRefused:
		return &refusedError{strings.TrimPrefix(report, refusedPrefix)}
	}
	return errors.New(report)
}

// demonstrateInside demonstrates with the kernel of the sandbox that this
// process is in.
func demonstrateInside(ctx context.Context, stdout io.Writer) error {
	if err := sandbox.Setup(); err != nil {
		return &refusedError{err.Error()}
	}
	stage, err := newKernelStage()
	if err != nil {
		return &refusedError{err.Error()}
	}
	return demonstrate(ctx, stage, newPainter(stdout))
}

// demonstrate pings on a stage, which it takes down afterwards, and paints
// what is to be seen. It fails unless every reply is there, byte for byte.
func demonstrate(ctx context.Context, stage *stage, paint *painter) (err error) {
	defer func() { err = errors.Join(err, stage.close()) }()
	paint.headline(stage)
	good := 0
	for number := 1; number <= demoPings; number++ {
		payload := demoOctets(number)
		stage.record.begin()
		start := time.Now()
		reply, err := stage.ping(ctx, number, payload)
		p := ping{number: number, payload: payload, reply: reply, err: err, took: time.Since(start), sights: stage.record.end()}
		paint.ping(&p, stage)
		if p.fault() == "" {
			good++
		}
	}
	paint.verdict(good)
	if paint.err != nil {
		return paint.err
	}
	if good < demoPings {
		return fmt.Errorf("%d of %d replies lost or damaged", demoPings-good, demoPings)
	}
	return nil
}

// demoOctets returns the payload of a ping, in which every octet says where it
// belongs.
func demoOctets(number int) []byte {
	payload := make([]byte, demoPayload)
	for i := range payload {
		payload[i] = byte(i + i>>8*7 + number*31)
	}
	return payload
}
