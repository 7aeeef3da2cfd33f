package metrics

import (
	"fmt"
	"net"
	"strconv"
)

// loopback is where metrics are unless another address is asked for.
const loopback = "127.0.0.1"

// ParseAddress returns the address to listen on that text stands for: a host
// and a port, where no host stands for this one alone. All addresses of the
// host are to be asked for: "[::]:9100". Port 0 leaves the choice to the
// system.
func ParseAddress(text string) (string, error) {
	const want = "want an address and a port from 0 to 65535, such as :9100, which is " + loopback + ":9100, or [::]:9100"
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf("no address with a port: %s", want)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("port %q: %s", port, want)
	}
	if host == "" {
		host = loopback
	}
	return net.JoinHostPort(host, port), nil
}
