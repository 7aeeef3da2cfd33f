package e2e

import (
	"strconv"
	"testing"

	"github.com/v6stack/v6stack/tun"
)

// A kind is a way to open a device. The zero value is that of who says nothing.
type kind struct {
	name string
	// config is only about how the device is opened.
	config tun.Config
	// features are what a kernel that has them all grants.
	features tun.Features
}

// offloads are the features of one queue of a kernel that has them all. USO is
// younger than the others.
var offloads = tun.Features{Queues: 1, Checksum: true, TSO4: true, TSO6: true, ECN: true}

// Kinds of devices.
var (
	plain   = kind{"plain", tun.Config{Backend: tun.Native, NoOffload: true, Queues: 1}, tun.Features{Queues: 1}}
	offload = kind{"offload", tun.Config{Backend: tun.Native, Queues: 1}, offloads}
	queues  = kind{"queues", tun.Config{Backend: tun.Native, Queues: 2}, with(offloads, 2)}
	water   = kind{"water", tun.Config{Backend: tun.Water}, tun.Features{Queues: 1}}
)

// kinds are all of them, programKinds those of the program.
var (
	kinds        = []kind{plain, offload, queues, water}
	programKinds = []kind{{name: "default"}, plain, offload, queues, water}
)

// with returns features with that many queues.
func with(features tun.Features, queues int) tun.Features {
	features.Queues = queues
	return features
}

// eachKind runs test as a subtest for each kind of device.
func eachKind(t *testing.T, test func(t *testing.T, k kind)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { test(t, k) })
	}
}

// open opens a device of the kind, otherwise as cfg says.
func (k kind) open(cfg tun.Config) (*tun.Device, error) {
	cfg.Backend, cfg.NoOffload, cfg.Queues = k.config.Backend, k.config.NoOffload, k.config.Queues
	return tun.Open(cfg)
}

// flags are those of the program for a device of the kind.
func (k kind) flags() []string {
	if k.name == "default" {
		return nil
	}
	flags := []string{"--backend", k.config.Backend.String(), "--queues", strconv.Itoa(k.config.Queues)}
	if k.config.NoOffload {
		flags = append(flags, "--offload=off")
	}
	return flags
}

// TestKinds checks that the kinds are what they are called: that the tests of
// offloads are not those of a kernel without.
func TestKinds(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		device := openDevice(t, k, tun.Config{})
		got := device.Features()
		if err := device.Close(); err != nil {
			t.Error(err)
		}
		got.USO = false
		if got != k.features {
			missing(t, "features of the kernel: %v, want %v", got, k.features)
		}
	})
}
