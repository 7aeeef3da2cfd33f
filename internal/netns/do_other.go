//go:build !linux

package netns

import (
	"errors"
	"fmt"
)

// Do reports that there are no network namespaces here.
func Do(namespace string, fn func() error) error {
	return fmt.Errorf("network namespace %q: %w", namespace, errors.ErrUnsupported)
}
