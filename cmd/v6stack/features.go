package main

import (
	"fmt"
	"log"

	"github.com/v6stack/v6stack/internal/jack"
	"github.com/v6stack/v6stack/tun"
)

// features says what a device and the system agreed on, in one line.
func features(name string, features tun.Features) string {
	return fmt.Sprintf("tun %s: %v", name, features)
}

// noting returns an opener that, of each device that open opens, says what it
// and the system agreed on.
func noting(open jack.Opener, notices *log.Logger) jack.Opener {
	return func(cfg tun.Config) (jack.Device, error) {
		device, err := open(cfg)
		if d, ok := device.(*tun.Device); ok && err == nil {
			notices.Print(features(d.Name(), d.Features()))
		}
		return device, err
	}
}
