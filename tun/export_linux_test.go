package tun

import "golang.org/x/sys/unix"

// Settle is how a device settles on offloads.
var Settle = settle

// Overheaded returns a device over descriptors on which an offload header stands
// ahead of each packet. The device owns them if there is no error.
func Overheaded(mtu int, features Features, fds ...int) (*Device, error) {
	var o opened
	for _, fd := range fds {
		q, err := newQueue(fd, plainFlags|unix.IFF_VNET_HDR, features)
		if err != nil {
			return nil, err
		}
		o.queues = append(o.queues, q)
	}
	return New("", mtu, features, o.queues...), nil
}

// Descriptors returns the descriptors of the queues of a native device, which
// stay the device's.
func (d *Device) Descriptors() []int {
	var fds []int
	for _, r := range d.endpoint.readers {
		fds = append(fds, r.queue.(*nativeQueue).fd)
	}
	return fds
}

// FollowMTU tells set of each change of the MTU, mtu at first, of the interface
// called name, until stop is called.
func FollowMTU(name string, mtu int, set func(mtu uint32)) (stop func(), err error) {
	w, err := watchLink(name)
	if err != nil {
		return nil, err
	}
	w.follow(mtu, set, func() {})
	return w.close, nil
}
