package sandbox

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Setup makes a fresh sandbox usable: the loopback interface goes up, and /run
// becomes an empty file system of the sandbox's own, in which named network
// namespaces can be made. It is called once, in the child of [Command], before
// anything else; processes that the child starts share what it made.
func Setup() error {
	if !Inside() {
		return errors.New("sandbox: set-up outside of one")
	}
	// Whatever is mounted from here on must not reach the parent's namespace.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("sandbox: make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("sandbox: mount a tmpfs over /run: %w", err)
	}
	return raiseLoopback()
}

func raiseLoopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("sandbox: find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("sandbox: set lo up: %w", err)
	}
	return nil
}
