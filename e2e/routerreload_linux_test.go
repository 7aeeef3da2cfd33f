package e2e

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/stack"
	"github.com/v6stack/v6stack/stack/filter"
)

// TestRouterReload changes routes, rules, budgets and links under load, back
// and forth. Nothing of the load is lost: the rule that let its flow begin
// stays, and so does the flow.
func TestRouterReload(t *testing.T) {
	r, a, b := startCrossing(t)
	learnPath(t, a, b)
	socket := a.dial(t, b.serve(t, echoPort))
	load := startLoad(t, socket, 4000)
	load.await(10)
	c := newStation(t, stationConfig{subnet: 0xc, mtu: 1500, zone: "blue"})
	for round := range 20 {
		with := r.config
		with.Links = append(slices.Clone(r.config.Links), c.link(c.open(t)))
		with.Routes = append(slices.Clone(r.config.Routes),
			stack.Route{Prefix: netip.MustParsePrefix("2001:db8:dead::/48"), Link: b.name, Zone: "red"})
		with.Rules = append([]filter.Rule{udpPort(echoPort+uint16(round)+1, filter.Deny)}, r.config.Rules...)
		with.Engine.Zone.High = 1 << 20
		for _, cfg := range []stack.Config{with, r.config} {
			if err := r.Reload(cfg); err != nil {
				t.Fatal(err)
			}
			load.await(2)
		}
		c.inside(t, func() { checkGone(t, c.name) })
	}
	load.finish()
	// The flow by which the path was learned is denied in between.
	if got := r.Stats().Filter; got.Opened != 2 || got.Revoked != 1 || got.Flows != 1 {
		t.Errorf("%d flows opened, %d revoked, %d left: want 2, 1, 1", got.Opened, got.Revoked, got.Flows)
	}
	r.checkDrops(t, a, map[stack.DropReason]uint64{stack.PacketTooBig: 1})
	r.checkDrops(t, b, nil)
}

// TestRouterReloadRefused reloads a configuration with an error under load.
func TestRouterReloadRefused(t *testing.T) {
	r, a, b := startPair(t, 1500, 1500, nil)
	load := startLoad(t, a.dial(t, b.serve(t, echoPort)), 4000)
	for range 10 {
		bad := r.config
		bad.Links = bad.Links[:1]
		bad.Rules = []filter.Rule{{Action: filter.Deny}}
		bad.Routes = []stack.Route{{Prefix: b.address.Masked(), Link: b.name}}
		if err := r.Reload(bad); err == nil {
			t.Error("a route to a link that is not there was accepted")
		}
		load.await(2)
	}
	load.finish()
	r.checkDrops(t, a, nil)
	r.checkDrops(t, b, nil)
}

// TestRouterRevoke takes a flow's permission away.
func TestRouterRevoke(t *testing.T) {
	r, a, b := startCrossing(t)
	learnPath(t, a, b)
	socket := a.dial(t, b.serve(t, echoPort))
	if err := exchange(socket, numbered(1, 4000)); err != nil {
		t.Fatal(err)
	}
	without := r.config
	without.Rules = []filter.Rule{{Action: filter.Reject}}
	if err := r.Reload(without); err != nil {
		t.Fatal(err)
	}
	if err := exchange(socket, numbered(2, 4000)); !errors.Is(err, unix.EACCES) {
		t.Errorf("a datagram of a flow that is not allowed any more: %v, want %v", err, unix.EACCES)
	}
	if err := r.Reload(r.config); err != nil {
		t.Fatal(err)
	}
	if err := exchange(socket, numbered(3, 4000)); err != nil {
		t.Error(err)
	}
}
