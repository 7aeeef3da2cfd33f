//go:build !linux

package e2e

import (
	"testing"

	"github.com/v6stack/v6stack/internal/sandbox"
)

func TestSandbox(t *testing.T) {
	t.Skipf("missing: a sandbox: %v", sandbox.Available())
}
