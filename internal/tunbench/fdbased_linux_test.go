package tunbench

import (
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	gtun "gvisor.dev/gvisor/pkg/tcpip/link/tun"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// openFDBased opens a TUN as gVisor does, for its own endpoint.
func openFDBased(b *testing.B) gstack.LinkEndpoint {
	b.Helper()
	fd, err := gtun.Open(interfaceName)
	if err != nil {
		b.Fatalf("open a TUN: %v", err)
	}
	b.Cleanup(func() { unix.Close(fd) })
	setHost(b)
	endpoint, err := fdbased.New(&fdbased.Options{FDs: []int{fd}, MTU: mtu})
	if err != nil {
		b.Fatal(err)
	}
	return endpoint
}
