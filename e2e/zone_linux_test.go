package e2e

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/vishvananda/netns"

	ournetns "github.com/v6stack/v6stack/internal/netns"

	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/tun"
)

// newNamespace makes a named network namespace that goes with the test.
func newNamespace(t *testing.T, name string) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	namespace, err := netns.NewNamed(name)
	if err != nil {
		t.Fatalf("make the network namespace %s: %v", name, err)
	}
	namespace.Close()
	if err := netns.Set(home); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.DeleteNamed(name); err != nil {
			t.Error(err)
		}
	})
}

// inNamespace runs do on a thread in a named network namespace.
func inNamespace(t *testing.T, name string, do func()) {
	t.Helper()
	if err := ournetns.Do(name, func() error { do(); return nil }); err != nil {
		t.Fatal(err)
	}
}

// A peer is a host in a network namespace of its own.
type peer struct {
	namespace string
	device    *tun.Device
	tap       *tap
	host      host
}

// startPeers starts a stack with a zone for each name, and in a network
// namespace of the same name a host for each zone. All have the same
// addresses.
func startPeers(t *testing.T, names ...string) []peer {
	t.Helper()
	var peers []peer
	var cfg stack.Config
	for _, name := range names {
		newNamespace(t, name)
		device := openDevice(t, kind{}, tun.Config{NetNS: name})
		peers = append(peers, peer{namespace: name, device: device})
		cfg.Links = append(cfg.Links, stack.LinkConfig{
			Name:      name,
			Zone:      name,
			Endpoint:  device.Endpoint(),
			Addresses: []netip.Prefix{stackPrefix},
			Close:     device.Close,
		})
	}
	s := startStack(t, cfg)
	for i, name := range names {
		zone, ok := s.Zone(name)
		if !ok {
			t.Fatalf("no zone %s", name)
		}
		serveEcho(t, zone)
		inNamespace(t, name, func() {
			peers[i].tap, peers[i].host = openTap(t, peers[i].device.Name()), openHost(t)
		})
	}
	t.Cleanup(func() { closeStack(t, s) })
	return peers
}

// TestZones sends fragments that would make datagrams together, if zones did
// not keep them apart: same addresses, same identification, same offsets.
func TestZones(t *testing.T) {
	peers := startPeers(t, "v6s-red", "v6s-blue")
	const id, size = 7, 64
	var payloads [2][]byte
	var fragments [2][][]byte
	for i, peer := range peers {
		payloads[i] = numbered(uint32(i), 3*size-8)
		fragments[i] = peer.host.datagram(id, payloads[i], size)
	}
	// Each zone is sent what the other one lacks.
	for _, step := range []struct{ zone, fragment int }{{0, 0}, {1, 1}, {1, 2}, {0, 2}} {
		peers[step.zone].tap.send(t, fragments[step.zone][step.fragment])
	}
	for _, peer := range peers {
		peer.tap.send(t, peer.host.whole([]byte("marker")))
		peer.host.expect(t, []byte("marker"))
	}
	peers[0].tap.send(t, fragments[0][1])
	peers[0].host.expect(t, payloads[0])
	peers[1].tap.send(t, fragments[1][0])
	peers[1].host.expect(t, payloads[1])
}

// TestZonesPing pings out of both namespaces at once.
func TestZonesPing(t *testing.T) {
	needTool(t, "ping")
	peers := startPeers(t, "v6s-red", "v6s-blue")
	var pings sync.WaitGroup
	for _, peer := range peers {
		pings.Go(func() {
			err := ournetns.Do(peer.namespace, func() error {
				ping(t, 10, 8000, "-A")
				return nil
			})
			if err != nil {
				t.Error(fmt.Errorf("ping in %s: %w", peer.namespace, err))
			}
		})
	}
	pings.Wait()
}
