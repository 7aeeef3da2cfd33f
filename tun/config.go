package tun

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"unicode"
)

// Bounds and default of [Config.MTU], in octets.
const (
	MinMTU     = 1280  // RFC 8200 section 5
	MaxMTU     = 65535 // the longest that a TUN device takes
	DefaultMTU = 1500
)

// MaxQueues is the most of [Config.Queues].
const MaxQueues = 16

// maxName is the longest name of an interface, in octets.
const maxName = 15

// Config says which device [Open] opens, and what the host's side of it looks
// like. The zero value is a device of 1,500 octets that the kernel names, up,
// without addresses.
type Config struct {
	// Name is the name of the interface: at most 15 octets without slash,
	// colon or white space. "" lets the system choose, and so does a "%d" in
	// the name, on Linux. A persistent TUN of that name that nobody has open
	// is taken over. macOS knows names of the form utun7 only; on Windows it
	// is the name of an adapter of the TAP driver.
	Name string
	// MTU is the longest packet, in octets, from [MinMTU] to [MaxMTU]; 0
	// means [DefaultMTU]. On Linux and macOS it is given to the interface
	// unless FD is set; on Windows it must be what the adapter has already.
	MTU int
	// Backend says by what means the device is opened; the default is the
	// best there is.
	Backend Backend
	// NoOffload leaves segmentation and checksum offload off. They are on
	// where the backend and the system have them, see [Device.Features].
	NoOffload bool
	// Queues is the number of queues, at most [MaxQueues]; 0 means as many as
	// are useful. More than one takes the native backend, and a descriptor has
	// just one.
	Queues int
	// FD, if greater than 0, is an open descriptor of a TUN device without
	// packet information, as Android's VpnService hands it over. The device
	// owns it once Open has succeeded. Name, NetNS, HostAddresses and
	// HostRoutes must be empty then, and Backend must not be Water.
	FD int
	// NetNS is the network namespace in which the interface appears: a name
	// in /run/netns, or a path if it contains a slash. "" is that of the
	// calling thread. Linux only.
	NetNS string
	// HostAddresses are given to the interface. They can be used as soon as
	// Open returns: there is no duplicate address detection. Linux only.
	HostAddresses []netip.Prefix
	// HostRoutes are led into the interface. Bits behind the prefix length
	// are ignored. Linux only.
	HostRoutes []netip.Prefix
}

// withDefaults returns c with its zero fields filled in, or an error that
// names the field at fault.
func (c Config) withDefaults() (Config, error) {
	if c.MTU == 0 {
		c.MTU = DefaultMTU
	}
	if c.Backend == Auto {
		c.Backend = best
	}
	for _, check := range []func() error{c.checkMTU, c.checkName, c.checkBackend, c.checkQueues, c.checkFD, c.checkHost} {
		if err := check(); err != nil {
			return c, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	return c, nil
}

func (c *Config) checkMTU() error {
	if c.MTU < MinMTU || c.MTU > MaxMTU {
		return fmt.Errorf("MTU %d is not within %d…%d", c.MTU, MinMTU, MaxMTU)
	}
	return nil
}

func (c *Config) checkName() error {
	switch {
	case len(c.Name) > maxName && runtime.GOOS != "windows":
		return fmt.Errorf("Name %q is longer than %d octets", c.Name, maxName)
	case c.Name == "." || c.Name == "..":
		return fmt.Errorf("Name %q is no name of an interface", c.Name)
	case strings.ContainsFunc(c.Name, forbiddenInName):
		return fmt.Errorf("Name %q contains a slash, a colon, white space or a control character", c.Name)
	}
	return nil
}

func forbiddenInName(r rune) bool {
	if r == ' ' && runtime.GOOS == "windows" {
		return false
	}
	return r == '/' || r == ':' || unicode.IsSpace(r) || unicode.IsControl(r)
}

func (c *Config) checkBackend() error {
	if c.Backend != Native && c.Backend != Water {
		return fmt.Errorf("Backend %v is none of auto, native, water", c.Backend)
	}
	return nil
}

func (c *Config) checkQueues() error {
	switch {
	case c.Queues < 0 || c.Queues > MaxQueues:
		return fmt.Errorf("field Queues: %d is not within 0…%d", c.Queues, MaxQueues)
	case c.Queues > 1 && c.Backend != Native:
		return fmt.Errorf("field Queues: %d goes with backend %v, not %v", c.Queues, Native, c.Backend)
	case c.Queues > 1 && c.FD > 0:
		return fmt.Errorf("field Queues: %d goes without FD, which is one queue", c.Queues)
	}
	return nil
}

func (c *Config) checkFD() error {
	switch {
	case c.FD < 0:
		return fmt.Errorf("FD %d is no descriptor", c.FD)
	case c.FD == 0:
		return nil
	case c.Name != "" || c.NetNS != "" || len(c.HostAddresses) > 0 || len(c.HostRoutes) > 0:
		return fmt.Errorf("FD %d goes without Name, NetNS, HostAddresses and HostRoutes", c.FD)
	case c.Backend == Water:
		return fmt.Errorf("FD %d cannot be adopted by backend %v", c.FD, c.Backend)
	}
	return nil
}

func (c *Config) checkHost() error {
	if !hostSettings && (c.NetNS != "" || len(c.HostAddresses) > 0 || len(c.HostRoutes) > 0) {
		return fmt.Errorf("NetNS, HostAddresses and HostRoutes cannot be set on %s", runtime.GOOS)
	}
	for _, p := range c.HostAddresses {
		if err := checkPrefix("HostAddresses", p); err != nil {
			return err
		}
	}
	for _, p := range c.HostRoutes {
		if err := checkPrefix("HostRoutes", p); err != nil {
			return err
		}
	}
	return nil
}

func checkPrefix(field string, p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return fmt.Errorf("%s contains an invalid prefix", field)
	case p.Addr().Is4In6():
		return fmt.Errorf("%s: %v is an IPv4 address mapped into IPv6", field, p)
	}
	return nil
}
