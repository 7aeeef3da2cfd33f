package main

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/v6stack/v6stack/internal/control"
	"github.com/v6stack/v6stack/internal/metrics"
	"github.com/v6stack/v6stack/internal/server"
	"github.com/v6stack/v6stack/stack"
)

// controlName is the flag that says where the control socket is.
const controlName = "control"

// observeFlags are the flags for looking at a stack that runs. Without a call
// of register it cannot be looked at.
type observeFlags struct {
	cmd     *cobra.Command // that has the flags
	control socketFlag
	metrics listenFlag
}

// register adds the flags to cmd.
func (f *observeFlags) register(cmd *cobra.Command) {
	f.cmd = cmd
	set := cmd.Flags()
	f.control = socketFlag{path: control.DefaultPath(), noneAllowed: true}
	set.Var(&f.control, controlName, "unix socket where \"status\" asks; \"none\" for none")
	set.Var(&f.metrics, "metrics", "address and port where Prometheus finds metrics; without an address, as in :9100, for this host alone")
}

// start makes s known where the flags say, until the observation is closed. If
// f is nil that is nowhere.
func (f *observeFlags) start(s *stack.Stack) (*observation, error) {
	o := new(observation)
	if f == nil || f.cmd == nil {
		return o, nil
	}
	err := f.serveControl(o, s)
	if err != nil && !f.cmd.Flags().Changed(controlName) {
		f.excuse(err)
		err = nil
	}
	if err == nil {
		err = f.serveMetrics(o, s)
	}
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

// excuse says that there is no control socket, which nobody has asked for. Where
// there can be none that needs no words.
func (f *observeFlags) excuse(err error) {
	if !errors.Is(err, errors.ErrUnsupported) {
		f.notice("\"status\" cannot ask this one: %v", err)
	}
}

// notice prints a line for whoever started the program.
func (f *observeFlags) notice(format string, args ...any) {
	fmt.Fprintf(f.cmd.ErrOrStderr(), "%s: %s\n", f.cmd.CommandPath(), fmt.Sprintf(format, args...))
}

// serveControl answers on the control socket.
func (f *observeFlags) serveControl(o *observation, s *stack.Stack) error {
	if f.control.path == "" {
		return nil
	}
	listener, err := control.Listen(f.control.path)
	if err != nil {
		return err
	}
	self := control.Identity{Version: programVersion(), Started: time.Now()}
	o.servers = append(o.servers, server.Start(listener, control.NewHandler(s, self, nil)))
	return nil
}

// serveMetrics answers Prometheus, and says where.
func (f *observeFlags) serveMetrics(o *observation, s *stack.Stack) error {
	if f.metrics == "" {
		return nil
	}
	listener, err := net.Listen("tcp", string(f.metrics))
	if err != nil {
		return fmt.Errorf("--metrics %s: %w", f.metrics, err)
	}
	build := metrics.Build{
		Version: programVersion(),
		GVisor:  moduleVersion("gvisor.dev/gvisor"),
		Go:      runtime.Version(),
	}
	o.servers = append(o.servers, server.Start(listener, metrics.NewHandler(metrics.NewRegistry(s, build))))
	f.notice("metrics at http://%v%s", listener.Addr(), metrics.Path)
	return nil
}

// An observation is what answers those who look at a stack.
type observation struct{ servers []*server.Server }

// close ends it, and waits for that.
func (o *observation) close() error {
	var errs []error
	for _, s := range o.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// A socketFlag is the path of a control socket.
type socketFlag struct {
	path        string // empty for none
	noneAllowed bool
}

// Set parses text; it implements pflag.Value.
func (f *socketFlag) Set(text string) error {
	if f.noneAllowed && text == "none" {
		f.path = ""
		return nil
	}
	if err := control.CheckPath(text); err != nil {
		return err
	}
	f.path = text
	return nil
}

// String returns the path.
func (f *socketFlag) String() string { return f.path }

// Type names the kind of value in the help text.
func (f *socketFlag) Type() string { return "path" }

// A listenFlag is an address to listen on.
type listenFlag string

// Set parses text; it implements pflag.Value.
func (f *listenFlag) Set(text string) error {
	address, err := metrics.ParseAddress(text)
	if err == nil {
		*f = listenFlag(address)
	}
	return err
}

// String returns the address with its port.
func (f *listenFlag) String() string { return string(*f) }

// Type names the kind of value in the help text.
func (f *listenFlag) Type() string { return "address" }
