package tun

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// offloads are what a descriptor may be granted, the best first. Fragmented UDP
// (UFO) is never asked for: Linux would only merge what it could have sent.
var offloads = [...]struct {
	flags    int // of TUNSETOFFLOAD
	features Features
}{
	{
		unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN | unix.TUN_F_USO4 | unix.TUN_F_USO6,
		Features{Checksum: true, TSO4: true, TSO6: true, ECN: true, USO: true},
	},
	{
		unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN,
		Features{Checksum: true, TSO4: true, TSO6: true, ECN: true},
	},
	{
		unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6,
		Features{Checksum: true, TSO4: true, TSO6: true},
	},
	{unix.TUN_F_CSUM, Features{Checksum: true}},
	{0, Features{}},
}

// negotiate asks for as much as the kernel grants to fd, which was opened with
// flags, and returns what that is; nothing if none is wanted.
func negotiate(fd int, flags uint16, none bool) (Features, error) {
	if flags&unix.IFF_VNET_HDR == 0 {
		relinquish(fd) // What somebody may have left of a persistent interface.
		return Features{}, nil
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, virtioSize); err != nil {
		return Features{}, fmt.Errorf("set the size of offload headers: %w", err)
	}
	return settle(none, func(flags int) error { return unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, flags) })
}

// settle asks for offloads, the best first, or for none, until they are granted.
func settle(none bool, ask func(flags int) error) (Features, error) {
	var refusal error
	for _, o := range offloads {
		if none && o.flags != 0 {
			continue
		}
		if refusal = ask(o.flags); refusal == nil {
			return o.features, nil
		}
	}
	return Features{}, fmt.Errorf("set offloads: %w", refusal)
}

// supported returns the flags of TUNSETIFF that the kernel knows; none if it
// does not tell.
func supported() uint16 {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	flags, err := unix.IoctlGetUint32(fd, unix.TUNGETFEATURES)
	if err != nil {
		return 0
	}
	return uint16(flags)
}

// relinquish gives offloads back. A persistent interface keeps them, and the next
// to open it may not be able to read what comes then.
func relinquish(fd int) {
	_ = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, 0) // The interface may be gone.
}
