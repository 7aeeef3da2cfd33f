package tun

import "fmt"

// A Backend is a means of opening a TUN device. The zero value is [Auto].
type Backend uint8

const (
	// Auto is Native where there is one, else Water.
	Auto Backend = iota
	// Native is this package's own way: Linux and Android.
	Native
	// Water is the module github.com/songgao/water: Linux, macOS, and Windows
	// by OpenVPN's TAP driver. It copies each packet it writes.
	Water
)

// String returns the name of b in lower case.
func (b Backend) String() string {
	switch b {
	case Auto:
		return "auto"
	case Native:
		return "native"
	case Water:
		return "water"
	}
	return fmt.Sprintf("Backend(%d)", uint8(b))
}
