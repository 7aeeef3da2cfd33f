package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// namespaces is where named network namespaces are, as "ip netns add" makes
// them.
const namespaces = "/run/netns"

// CheckNamespaces reports, as an [Error], the network namespaces of the file
// that this machine does not have.
func (c *Config) CheckNamespaces() error {
	b := builder{places: c.places}
	for i := range c.TUNs {
		namespace := c.TUNs[i].NetNS
		if namespace == "" {
			continue
		}
		file := namespace
		if !strings.Contains(namespace, "/") {
			file = filepath.Join(namespaces, namespace)
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			b.refuse(fmt.Sprintf("link[%d].netns", i), "no such network namespace: %s does not exist", file)
		} else if err != nil {
			b.refuse(fmt.Sprintf("link[%d].netns", i), "%v", err)
		}
	}
	if len(b.problems) > 0 {
		return newError(c.file, b.problems)
	}
	return nil
}
