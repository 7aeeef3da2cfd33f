package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/config"
	"github.com/v6stack/v6stack/internal/jack"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// A router is what "run --config" runs: the stack that a file describes, on the
// devices that it describes. Its methods are called by one goroutine.
type router struct {
	file    string
	open    jack.Opener
	notices *log.Logger
	config  *config.Config // as it is running
	links   map[string]*routerLink
	stack   *stack.Stack
}

// A routerLink is a link of a router: a device that may be exchanged, and the
// endpoint by which the stack knows it.
type routerLink struct {
	jack     *jack.Jack
	endpoint gstack.LinkEndpoint
}

// runRouter runs a router until ctx is done. Each value of reload has it read
// its file again. Devices are opened by open, and observe says who may look on;
// ready goes to stdout, what happens on the way to stderr.
func runRouter(ctx context.Context, file string, open jack.Opener, reload <-chan os.Signal, observe *observeFlags, stdout, stderr io.Writer) (err error) {
	r, err := newRouter(file, open, log.New(stderr, "v6stack run: ", 0))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	observation, err := observe.start(r.stack)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, observation.close()) }()
	if _, err := fmt.Fprintln(stdout, "ready"); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-reload:
			r.reload()
		}
	}
}

// newRouter returns a router that is running. If that fails, nothing is left.
func newRouter(file string, open jack.Opener, notices *log.Logger) (*router, error) {
	cfg, err := loadConfig(file)
	if err != nil {
		return nil, err
	}
	r := &router{file: file, open: open, notices: notices, config: cfg, links: make(map[string]*routerLink)}
	for i := range cfg.TUNs {
		link, err := r.openLink(cfg.TUNs[i])
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.links[cfg.TUNs[i].Name] = link
		cfg.Stack.Links[i].Endpoint = link.endpoint
	}
	r.stack, err = stack.New(cfg.Stack)
	if err != nil {
		return nil, errors.Join(usagef("%s: %w", file, err), r.close())
	}
	return r, nil
}

// loadConfig reads a file for this machine: its network namespaces are there.
func loadConfig(file string) (*config.Config, error) {
	cfg, err := config.Load(file)
	if err == nil {
		err = cfg.CheckNamespaces()
	}
	if err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}

// openLink opens a device.
func (r *router) openLink(cfg tun.Config) (*routerLink, error) {
	j, err := jack.Open(cfg, r.open, func(message string) { r.notices.Print(message) })
	if err != nil {
		return nil, r.linkError(cfg, err)
	}
	return &routerLink{jack: j, endpoint: j.Endpoint()}, nil
}

// linkError adds to what opening a device gave the file and the link.
func (r *router) linkError(cfg tun.Config, err error) error {
	err = fmt.Errorf("%s: link %q: %w", r.file, cfg.Name, err)
	if errors.Is(err, tun.ErrConfig) {
		return usageError{err}
	}
	return err
}

// close ends the stack, then the devices.
func (r *router) close() error {
	var errs []error
	if r.stack != nil {
		errs = append(errs, r.stack.Close())
	}
	for _, link := range r.links {
		errs = append(errs, link.jack.Close())
	}
	return errors.Join(errs...)
}
