package tun

import (
	"fmt"
	"sync"

	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A Device is an open TUN device. Make one with [Open]; it must be closed.
// All methods may be called from many goroutines at once.
type Device struct {
	name     string
	mtu      int
	endpoint *endpoint
	close    func() error
}

// Open opens a TUN device, or adopts cfg.FD, and sets up the host's side of
// it. If that fails, nothing is left behind, and cfg.FD is still the caller's.
// The error wraps [ErrConfig], [ErrNoDevice], [ErrPermission] or [ErrNameTaken]
// where one of them fits.
func Open(cfg Config) (*Device, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open TUN: %w", err)
	}
	device, err := open(cfg)
	if err != nil {
		return nil, fmt.Errorf("open TUN %q: %w", cfg.Name, err)
	}
	return device, nil
}

// New returns a device over queues, at least one, that the caller opened; the
// device owns them. It says of itself what features says, the number of queues
// apart; name and mtu are what [Device.Name] and [Device.MTU] return. With
// features.Checksum, what is read with neither NeedsCsum in its GSOOptions nor
// RXChecksumValidated set is verified, and dropped where it is wrong. Without
// TSO4 and TSO6 gVisor makes no large segments, but a router may pass on some.
func New(name string, mtu int, features Features, queues ...Queue) *Device {
	features.Queues = len(queues)
	e := newEndpoint(mtu, features, queues)
	return &Device{name: name, mtu: mtu, endpoint: e, close: sync.OnceValue(e.shutdown)}
}

// onClose has f called when the device is closed, after all else. It is for
// whoever opens the device.
func (d *Device) onClose(f func()) {
	d.close = sync.OnceValue(func() error {
		defer f()
		return d.endpoint.shutdown()
	})
}

// Name returns the name of the interface as the system knows it: "" for an
// adopted descriptor that is not a TUN device's.
func (d *Device) Name() string { return d.name }

// MTU returns the MTU with which the device was opened, in octets. That of the
// endpoint follows what the host's side is set to later, on Linux.
func (d *Device) MTU() int { return d.mtu }

// Features returns what the device and the system agreed on.
func (d *Device) Features() Features { return d.endpoint.features }

// Endpoint returns the device as a link endpoint of gVisor, always the same.
// It is for one stack at a time; after a detachment it may be attached again.
// Packets are read from the first attachment on; what comes while nothing is
// attached is dropped.
//
// Wait returns once the endpoint is detached and begins no delivery any more.
// It does not wait for the one that may have begun, because gVisor calls it
// with the lock held that this delivery may be waiting for; Close, which gVisor
// calls without it, does. So a delivery must not call Close, nor RemoveNIC.
// Closing the endpoint only detaches it: the device stays open.
func (d *Device) Endpoint() gstack.LinkEndpoint { return d.endpoint }

// Stats returns what the device counted.
func (d *Device) Stats() Stats {
	s := d.endpoint.counters.snapshot()
	s.ReadErrors, s.Outages = d.endpoint.failures()
	return s
}

// Close closes the device and with it the interface, unless that is a
// persistent one. It waits for packets under way; it must not be called from
// within a delivery. All calls return what the first did.
func (d *Device) Close() error { return d.close() }
