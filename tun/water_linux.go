package tun

import (
	"errors"
	"syscall"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

// openWater opens the interface cfg.Name through water.
func openWater(cfg Config) (opened, error) {
	// water leaks its descriptor where the kernel refuses the interface, so
	// that is found out beforehand.
	fd, _, flags, err := openDescriptor(cfg.Name, unix.IFF_TUN|unix.IFF_NO_PI)
	if err != nil {
		return opened{}, err
	}
	relinquish(fd) // What somebody may have left of a persistent interface.
	if err := unix.Close(fd); err != nil {
		return opened{}, err
	}
	params := water.Config{DeviceType: water.TUN}
	params.Name = cfg.Name
	params.Persist = flags&unix.IFF_PERSIST != 0 // Without it, water ends that.
	device, err := water.New(params)
	if err != nil {
		return opened{}, explain(cfg.Name, err)
	}
	if err := closeOnExec(device); err != nil {
		return opened{}, errors.Join(err, device.Close())
	}
	return opened{name: device.Name(), queues: []Queue{newWaterQueue(device, cfg.MTU)}}, nil
}

// closeOnExec keeps the descriptor of device from children, which water does
// not.
func closeOnExec(device *water.Interface) error {
	file, ok := device.ReadWriteCloser.(syscall.Conn)
	if !ok {
		return nil
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) { unix.CloseOnExec(int(fd)) })
}

// isGone reports whether err says that the interface was deleted.
func isGone(err error) bool { return errors.Is(err, unix.EBADFD) }
