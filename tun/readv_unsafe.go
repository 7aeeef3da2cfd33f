//go:build linux

package tun

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// readv reads a packet into iovecs if one is there.
func readv(fd int, iovecs []unix.Iovec) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&iovecs[0])), uintptr(len(iovecs)))
	return int(n), errno
}
