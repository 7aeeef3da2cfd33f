package main

import (
	"reflect"

	"github.com/v6stack/v6stack/internal/config"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// reload reads the file again and puts what it says in place, or leaves
// everything as it was. It says which.
func (r *router) reload() {
	cfg, err := loadConfig(r.file)
	if err == nil {
		err = r.become(cfg)
	}
	if err != nil {
		r.notices.Printf("reload refused, nothing changed:\n%v", err)
		return
	}
	r.notices.Printf("reloaded %s: %s", r.file, countParts(cfg))
}

// become puts a configuration in the place of the running one.
func (r *router) become(cfg *config.Config) error {
	x := exchange{router: r, links: make(map[string]*routerLink)}
	if err := x.prepare(cfg); err != nil {
		x.undo()
		return err
	}
	if err := r.stack.Reload(cfg.Stack); err != nil {
		x.undo()
		return usagef("%s: %w", r.file, err)
	}
	if total := r.config.Stack.Engine.Total; cfg.Stack.Engine.Total != total {
		r.notices.Printf("%s: total of [defrag] holds from the next start on", r.file)
		cfg.Stack.Engine.Total = total
	}
	r.config = cfg
	x.commit()
	return nil
}

// An exchange is that of a router's devices for others.
type exchange struct {
	router *router
	links  map[string]*routerLink // as they are to be
	opened []*routerLink
	former []formerDevice
}

// A formerDevice is what a link that stays had for a device.
type formerDevice struct {
	link *routerLink
	cfg  tun.Config
}

// prepare opens the devices of cfg that there are not yet, and gives its links
// their endpoints.
func (x *exchange) prepare(cfg *config.Config) error {
	for i := range cfg.TUNs {
		link, err := x.link(&cfg.Stack.Links[i], cfg.TUNs[i])
		if err != nil {
			return err
		}
		x.links[cfg.TUNs[i].Name] = link
		cfg.Stack.Links[i].Endpoint = link.endpoint
	}
	return nil
}

// link returns the link that cfg describes: one that there is with the device
// as it should be, or a new one.
func (x *exchange) link(cfg *stack.LinkConfig, device tun.Config) (*routerLink, error) {
	link := x.router.links[device.Name]
	if link == nil {
		link, err := x.router.openLink(device)
		if err == nil {
			x.opened = append(x.opened, link)
		}
		return link, err
	}
	if former := link.jack.Config(); !reflect.DeepEqual(former, device) {
		if err := link.jack.Replug(device); err != nil {
			return nil, x.router.linkError(device, err)
		}
		x.former = append(x.former, formerDevice{link, former})
	}
	if x.router.staysInZone(cfg) {
		return link, nil
	}
	return &routerLink{jack: link.jack, endpoint: link.jack.Endpoint()}, nil
}

// staysInZone reports whether the stack can go on with the endpoint of a link
// that it has.
func (r *router) staysInZone(cfg *stack.LinkConfig) bool {
	for i := range r.config.Stack.Links {
		if running := &r.config.Stack.Links[i]; running.Name == cfg.Name {
			return running.Zone == cfg.Zone && running.NoICMPErrors == cfg.NoICMPErrors
		}
	}
	return false
}

// undo brings the devices back that there were.
func (x *exchange) undo() {
	for _, former := range x.former {
		if err := former.link.jack.Replug(former.cfg); err != nil {
			x.router.notices.Printf("link %q: %v", former.cfg.Name, err)
		}
	}
	for _, link := range x.opened {
		x.closeLink(link)
	}
}

// commit closes the devices that are no more wanted.
func (x *exchange) commit() {
	for name, link := range x.router.links {
		if x.links[name] == nil {
			x.closeLink(link)
		}
	}
	x.router.links = x.links
}

// closeLink closes a link's device.
func (x *exchange) closeLink(link *routerLink) {
	if err := link.jack.Close(); err != nil {
		x.router.notices.Printf("link %q: %v", link.jack.Config().Name, err)
	}
}
