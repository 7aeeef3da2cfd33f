package oracle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	tunName = "oracle0"
	// highThreshold is the memory that incomplete datagrams may take, so high
	// that no comparison meets it by accident.
	highThreshold = 1 << 30
	sysctlHigh    = "netfilter/nf_conntrack_frag6_high_thresh"
)

// A namespace is a network namespace without a process or a name in it. Its
// descriptors keep it: it goes away when they are closed.
type namespace struct {
	// net is the namespace's own descriptor, tun that of the TUN in it.
	net, tun int
}

// openNamespace makes a network namespace with a TUN in it that is up and
// silent.
func openNamespace() (*namespace, error) {
	ns := &namespace{net: -1, tun: -1}
	err := elsewhere(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		var err error
		if ns.net, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("open the network namespace: %w", err)
		}
		if ns.tun, err = openTUN(tunName); err != nil {
			return err
		}
		return setUp()
	})
	if err != nil {
		ns.close()
		return nil, err
	}
	return ns, nil
}

// setUp configures the calling thread's namespace.
func setUp() error {
	settings := []struct{ name, value string }{
		{"ipv6/conf/" + tunName + "/accept_dad", "0"},
		{"ipv6/conf/" + tunName + "/accept_ra", "0"},
		{"ipv6/conf/" + tunName + "/router_solicitations", "0"},
		{"ipv6/conf/" + tunName + "/addr_gen_mode", "1"},
		{"netfilter/nf_conntrack_frag6_timeout", "3600"},
		{"netfilter/nf_conntrack_frag6_low_thresh", "0"},
		{sysctlHigh, fmt.Sprint(highThreshold)},
	}
	for _, s := range settings {
		if err := setSysctl(s.name, s.value); err != nil {
			return err
		}
	}
	link, err := netlink.LinkByName(tunName)
	if err != nil {
		return fmt.Errorf("find %s: %w", tunName, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", tunName, err)
	}
	return nil
}

// setHighThreshold sets how much memory incomplete datagrams may take.
func (n *namespace) setHighThreshold(octets int) error {
	return elsewhere(func() error {
		if err := unix.Setns(n.net, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return setSysctl(sysctlHigh, fmt.Sprint(octets))
	})
}

func (n *namespace) close() {
	for _, fd := range []int{n.tun, n.net} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// setSysctl writes a setting of the calling thread's network namespace.
func setSysctl(name, value string) error {
	if err := os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0); err != nil {
		return fmt.Errorf("set %s to %s: %w", name, value, err)
	}
	return nil
}

// elsewhere runs f on a thread that f may take to another network namespace,
// and that comes back afterwards, or dies if it cannot. It is not the main
// thread, after which /proc calls the whole process.
func elsewhere(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			done <- elsewhere(f)
			return
		}
		err := thereAndBack(f)
		if !errors.Is(err, errStranded) {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

var errStranded = errors.New("back to the first network namespace")

// thereAndBack runs f and returns the calling thread to its network namespace.
func thereAndBack(f func() error) error {
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the first network namespace: %w", err)
	}
	defer unix.Close(home)
	err = f()
	if back := unix.Setns(home, unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("%w: %w", errStranded, back))
	}
	return err
}
