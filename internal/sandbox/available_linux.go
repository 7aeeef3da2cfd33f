package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// device is where a TUN is opened.
const device = "/dev/net/tun"

// Available says in one line why a sandbox with a TUN cannot be had, and what
// to do about it; nil if it can. It tries: a process is cloned, to the point
// where it would run a program, and the device is opened and closed.
func Available() error {
	if err := tryNamespaces(os.Geteuid(), os.Getegid()); err != nil {
		return explainNamespaces(err, os.DirFS("/proc"), os.Geteuid() == 0)
	}
	return explainDevice(tryDevice())
}

// tryNamespaces clones a child into new namespaces. There is no program for
// it to run: that this is what fails means that all else works.
func tryNamespaces(uid, gid int) error {
	const nothing = "/proc/self/nothing"
	pid, err := syscall.ForkExec(nothing, []string{nothing}, &syscall.ProcAttr{Sys: attributes(uid, gid)})
	switch {
	case err == nil:
		_, err := syscall.Wait4(pid, nil, 0, nil)
		return err
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

func tryDevice() error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func explainDevice(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is absent: load the tun module (modprobe tun), or give the container the device (--device %s): %w", device, device, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s may not be opened by this user: run as root, or let everybody open it (chmod 0666 %s, as root): %w", device, device, err)
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%s is kept from this container: give it the device (--device %s): %w", device, device, err)
	case errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return fmt.Errorf("%s has no driver: load the tun module (modprobe tun): %w", device, err)
	}
	return fmt.Errorf("%s cannot be opened: %w", device, err)
}
