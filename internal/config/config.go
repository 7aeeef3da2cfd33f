package config

import (
	"fmt"
	"os"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// A Config is what a file says. Make one with [Load] or [Parse]; it is the
// caller's to change.
type Config struct {
	// Stack is the configuration of the stack, a router. Its links have no
	// Endpoint and no Close yet. Every zone that exists is in Zones, with all
	// fields of its Defrag set.
	Stack stack.Config
	// TUNs are the devices of the stack's links: TUNs[i] is that of
	// Stack.Links[i], and has its name.
	TUNs []tun.Config

	file   string
	places places
}

// Load reads a file. Its error is an [Error] if the file can be read, but says
// something wrong.
func Load(file string) (*Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(file, text)
}

// Parse reads the text of a file, whose name is for the messages alone. The
// text is borrowed for the call. Its error is an [Error].
func Parse(file string, text []byte) (*Config, error) {
	b := builder{config: &Config{file: file}}
	if b.read(text) {
		b.build()
	}
	if len(b.problems) > 0 {
		return nil, newError(file, b.problems)
	}
	return b.config, nil
}

// A builder turns a document into a Config, and collects what is wrong with it.
type builder struct {
	document document
	places   places
	config   *Config
	problems []Problem
}

// build checks the document and puts together the configuration. Links are
// first: the others name them.
func (b *builder) build() {
	b.config.places = b.places
	b.config.Stack.Forward = true
	b.addDefaults()
	b.addLinks()
	b.addZones()
	b.addRoutes()
	b.addRules()
}

// link returns the link of that name, or nil.
func (b *builder) link(name string) *stack.LinkConfig {
	for i := range b.config.Stack.Links {
		if link := &b.config.Stack.Links[i]; link.Name == name {
			return link
		}
	}
	return nil
}

// zone returns the zone of that name, or nil.
func (b *builder) zone(name string) *stack.ZoneConfig {
	for i := range b.config.Stack.Zones {
		if zone := &b.config.Stack.Zones[i]; zone.Name == name {
			return zone
		}
	}
	return nil
}

// defaultDefrag is how zones reassemble if the file says nothing.
var defaultDefrag = defrag.ZoneConfig{
	High:    defrag.DefaultHigh,
	Low:     defrag.DefaultLow,
	Timeout: defrag.DefaultTimeout,
}
