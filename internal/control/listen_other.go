//go:build !unix

package control

import (
	"errors"
	"fmt"
	"net"
)

// Listen returns [errors.ErrUnsupported], wrapped: the system has no files that
// only one user may connect to.
func Listen(path string) (net.Listener, error) {
	return nil, fmt.Errorf("control socket %s: %w", path, errors.ErrUnsupported)
}
