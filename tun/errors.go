package tun

import "errors"

// Errors that [Open] wraps, together with the system's own, for callers that
// branch. Others (an address or a route refused) are the system's alone.
var (
	// ErrConfig says that a field of Config is at fault, whatever the system.
	ErrConfig = errors.New("bad configuration")
	// ErrNoDevice says that the system has no TUN devices: on Linux,
	// /dev/net/tun is absent or has no driver.
	ErrNoDevice = errors.New("no TUN device available")
	// ErrPermission says that the system has TUN devices, but not for this
	// process.
	ErrPermission = errors.New("no permission for a TUN device")
	// ErrNameTaken says that an interface of that name exists and is in use,
	// or is not a TUN device.
	ErrNameTaken = errors.New("name taken")
)

// What is wrong with a packet that is lost.
var (
	errTooLong   = errors.New("packet longer than the MTU")
	errMalformed = errors.New("packet not what the header ahead of it says")
)
