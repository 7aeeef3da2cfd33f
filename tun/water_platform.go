package tun

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// What the module water makes of macOS and Windows. These are functions of
// their arguments alone, so that they are tested on any platform.

// explainWater adds to what opening a device gave the sentinel it amounts to.
// water mostly writes the system's error out instead of wrapping it.
func explainWater(err error) error {
	text := err.Error()
	says := func(errno syscall.Errno) bool { return errors.Is(err, errno) || strings.Contains(text, errno.Error()) }
	switch {
	case errors.Is(err, fs.ErrPermission), says(syscall.EPERM), says(syscall.EACCES):
		return fmt.Errorf("%w: %w", ErrPermission, err)
	case says(syscall.EBUSY):
		return fmt.Errorf("%w: %w", ErrNameTaken, err)
	case strings.Contains(text, "TAP driver may be not installed"):
		return fmt.Errorf("%w: %w", ErrNoDevice, err)
	}
	return err
}

// checkUtun reports what is wrong with name as one of a device on macOS, whose
// kernel numbers them and knows no others. "" lets it choose.
func checkUtun(name string) error {
	digits, ok := strings.CutPrefix(name, "utun")
	_, err := strconv.ParseUint(digits, 10, 31)
	if name != "" && (!ok || err != nil) {
		return fmt.Errorf("%w: Name %q is not utun and a number, as macOS wants it", ErrConfig, name)
	}
	return nil
}

// tapDefault is the network for which the TAP driver of Windows answers unless
// the adapter has an address.
const tapDefault = "192.168.1.10/24"

// tapNetwork returns the address and network for which the TAP driver, which is
// one of Ethernet, is to answer ARP in place of the hosts behind it: the first of
// IPv4 that the adapter has.
func tapNetwork(addresses []net.Addr) string {
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address.String())
		if err == nil && prefix.Addr().Is4() && !prefix.Addr().IsLinkLocalUnicast() {
			return prefix.String()
		}
	}
	return tapDefault
}

// checkMTU reports that an interface has another MTU than it should, which only
// its owner can change.
func checkMTU(name string, actual, wanted int) error {
	if actual != wanted {
		return fmt.Errorf("%w: MTU %d is not that of interface %q, %d; change either", ErrConfig, wanted, name, actual)
	}
	return nil
}
