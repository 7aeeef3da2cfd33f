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
	open    jack.Opener      // of devices
	reloads <-chan os.Signal // each has the file read again
	observe *observeFlags    // who may look on
	stdout  io.Writer        // is told when packets flow
	notices *log.Logger      // is told what happens on the way

	config *config.Config // as it is running
	links  map[string]*routerLink
	stack  *stack.Stack
}

// A routerLink is a link of a router: a device that may be exchanged, and the
// endpoint by which the stack knows it.
type routerLink struct {
	jack     *jack.Jack
	endpoint gstack.LinkEndpoint
}

// run runs the router until ctx is done.
func (r *router) run(ctx context.Context) (err error) {
	if err := r.start(); err != nil {
		return errors.Join(err, r.close())
	}
	defer func() { err = errors.Join(err, r.close()) }()
	observation, err := r.observe.start(r.stack)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, observation.close()) }()
	if _, err := fmt.Fprintln(r.stdout, "ready"); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.reloads:
			r.reload()
		}
	}
}

// start reads the file, opens the devices and makes the stack. After an error
// some of them may be there, for close.
func (r *router) start() error {
	cfg, err := loadConfig(r.file)
	if err != nil {
		return err
	}
	r.config, r.links = cfg, make(map[string]*routerLink)
	for i := range cfg.TUNs {
		link, err := r.openLink(cfg.TUNs[i])
		if err != nil {
			return err
		}
		r.links[cfg.TUNs[i].Name] = link
		cfg.Stack.Links[i].Endpoint = link.endpoint
	}
	r.stack, err = stack.New(cfg.Stack)
	if err != nil {
		return usagef("%s: %w", r.file, err)
	}
	return nil
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
