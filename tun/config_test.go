package tun_test

import (
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/v6stack/v6stack/tun"
)

func TestConfigErrors(t *testing.T) {
	address := []netip.Prefix{netip.MustParsePrefix("fd00::1/64")}
	for _, test := range []struct {
		name string
		cfg  tun.Config
		want string // in the error
	}{
		{"MTU too small", tun.Config{MTU: 1279}, "MTU 1279 is not within 1280…65535"},
		{"MTU too large", tun.Config{MTU: 65536}, "MTU 65536 is not within 1280…65535"},
		{"MTU negative", tun.Config{MTU: -1}, "MTU -1 "},
		{"name with slash", tun.Config{Name: "a/b"}, `"a/b" contains a slash`},
		{"name with colon", tun.Config{Name: "a:b"}, `"a:b" contains`},
		{"name with newline", tun.Config{Name: "a\nb"}, `"a\nb" contains`},
		{"name with NUL", tun.Config{Name: "a\x00b"}, `"a\x00b" contains`},
		{"name of a directory", tun.Config{Name: ".."}, `".." is no name`},
		{"unknown backend", tun.Config{Backend: 7}, "Backend Backend(7) is none of auto, native, water"},
		{"negative descriptor", tun.Config{FD: -1}, "FD -1 "},
		{"descriptor and name", tun.Config{FD: 3, Name: "t"}, "FD 3 goes without"},
		{"descriptor and namespace", tun.Config{FD: 3, NetNS: "n"}, "FD 3 goes without"},
		{"descriptor and address", tun.Config{FD: 3, HostAddresses: address}, "FD 3 goes without"},
		{"descriptor and route", tun.Config{FD: 3, HostRoutes: address}, "FD 3 goes without"},
		{"descriptor for water", tun.Config{FD: 3, Backend: tun.Water}, "FD 3 cannot be adopted by backend water"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.cfg, test.want) })
	}
}

func TestConfigErrorsOfLinux(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("names and the host's side differ on other platforms")
	}
	mapped := []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.1/120")}
	for _, test := range []struct {
		name string
		cfg  tun.Config
		want string
	}{
		{"name too long", tun.Config{Name: "abcdefghijklmnop"}, `"abcdefghijklmnop" is longer than 15 octets`},
		{"name with space", tun.Config{Name: "a b"}, `"a b" contains`},
		{"invalid address", tun.Config{HostAddresses: make([]netip.Prefix, 1)}, "HostAddresses contains an invalid prefix"},
		{"mapped address", tun.Config{HostAddresses: mapped}, "HostAddresses: ::ffff:192.0.2.1/120 is an IPv4 address"},
		{"invalid route", tun.Config{HostRoutes: make([]netip.Prefix, 1)}, "HostRoutes contains an invalid prefix"},
		{"mapped route", tun.Config{HostRoutes: mapped}, "HostRoutes: ::ffff:192.0.2.1/120 is an IPv4 address"},
		{"no descriptor", tun.Config{FD: 1 << 20}, "FD 1048576: bad configuration: bad file descriptor"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.cfg, test.want) })
	}
}

// refused checks that cfg is refused as a configuration, with want in the
// error.
func refused(t *testing.T, cfg tun.Config, want string) {
	t.Helper()
	device, err := tun.Open(cfg)
	if err == nil {
		device.Close()
		t.Fatal("it was opened")
	}
	if !errors.Is(err, tun.ErrConfig) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want ErrConfig with %q", err, want)
	}
}

func TestBackendString(t *testing.T) {
	for backend, want := range map[tun.Backend]string{
		tun.Auto: "auto", tun.Native: "native", tun.Water: "water", 9: "Backend(9)",
	} {
		if got := backend.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
