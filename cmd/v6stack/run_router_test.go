package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Files of routers between the same two hosts.
var (
	twoHouses   = house{"left", 1, ""}.String() + house{"right", 2, ""}.String()
	noChargen   = "[[rule]]\nprotocol = \"udp\"\ndestination_ports = [\"19\"]\naction = \"deny\"\n"
	leftInRed   = house{"left", 1, `zone = "red"`}.String() + house{"right", 2, ""}.String()
	redCrosses  = "[[route]]\nto = \"2001:db8:2::/64\"\nlink = \"right\"\nzone = \"red\"\n[[route]]\nto = \"2001:db8:1::/64\"\nlink = \"left\"\n"
	redToOthers = "[[rule]]\nfrom = \"zone:red\"\nto = \"zone:default\"\naction = \"allow\"\n"
)

const (
	rightEcho    = "[2001:db8:2::1]:7"
	rightChargen = "[2001:db8:2::1]:19"
)

// Datagrams of any size pass between the hosts, but for those that a rule
// denies.
func TestRouter(t *testing.T) {
	r := startRouter(t, twoHouses+noChargen)
	for _, size := range []int{0, 100, 1452, 1453, 4000, 65527} {
		r.echoes("left", rightEcho, size)
		r.echoes("right", "[2001:db8:1::1]:7", size)
	}
	r.denied("left", rightChargen)
	r.end()
}

// What a good file changes is changed; flows go on, and so do devices that stay
// as they were.
func TestReload(t *testing.T) {
	r := startRouter(t, twoHouses+noChargen)
	r.took()
	flow := r.dial("left", rightEcho)
	defer flow.Close()
	echoed(t, flow, 4000)

	r.reload(twoHouses, "reloaded FILE: 2 links, 1 zone, 0 routes, 0 rules")
	r.echoes("left", rightChargen, 100)
	echoed(t, flow, 4000)
	r.reload(twoHouses+noChargen, "reloaded FILE", "1 rule")
	r.denied("left", rightChargen)
	echoed(t, flow, 4000)
	if opened := r.took(); len(opened) > 0 {
		t.Errorf("devices %q were opened", opened)
	}

	// A link comes and goes.
	r.reload(twoHouses+house{"third", 3, ""}.String(), "3 links")
	r.echoes("third", rightEcho, 4000)
	if opened := r.took(); !slices.Equal(opened, []string{"third"}) {
		t.Errorf("devices %q were opened", opened)
	}
	r.reload(twoHouses, "2 links")
	if left := r.devices(); !slices.Equal(left, []string{"left", "right"}) {
		t.Errorf("devices %q are open", left)
	}
	echoed(t, flow, 4000)
	r.end()
}

// A link whose device is to be another gets one; the other links keep theirs.
func TestReloadDevice(t *testing.T) {
	r := startRouter(t, twoHouses)
	r.took()
	r.reload(house{"left", 1, ""}.String()+house{"right", 2, "mtu = 1400"}.String(), "reloaded")
	if opened := r.took(); !slices.Equal(opened, []string{"right"}) {
		t.Errorf("devices %q were opened", opened)
	}
	r.echoes("left", rightEcho, 1000)
	if mtu := r.stack.Stats().Links[1].MTU; mtu != 1400 {
		t.Errorf("MTU %d, want 1400", mtu)
	}
	r.end()
}

// A link may move to another zone and keeps its device.
func TestReloadZone(t *testing.T) {
	r := startRouter(t, twoHouses)
	r.took()
	r.echoes("left", rightEcho, 4000)
	r.reload(leftInRed+redCrosses, "2 zones, 2 routes, 0 rules")
	r.denied("left", rightEcho)
	r.reload(leftInRed+redCrosses+redToOthers, "1 rule")
	r.echoes("left", rightEcho, 4000)
	r.denied("right", "[2001:db8:1::1]:7")
	r.reload(twoHouses, "1 zone, 0 routes, 0 rules")
	r.echoes("left", rightEcho, 4000)
	r.echoes("right", "[2001:db8:1::1]:7", 4000)
	if opened := r.took(); len(opened) > 0 {
		t.Errorf("devices %q were opened", opened)
	}
	r.end()
}

// What cannot be put in place changes nothing, and says why.
func TestReloadRefused(t *testing.T) {
	r := startRouter(t, twoHouses+noChargen)
	r.took()
	flow := r.dial("left", rightEcho)
	defer flow.Close()
	echoed(t, flow, 4000)
	same := func() {
		t.Helper()
		r.denied("left", rightChargen)
		echoed(t, flow, 4000)
		if left := r.devices(); !slices.Equal(left, []string{"left", "right"}) {
			t.Errorf("devices %q are open", left)
		}
	}
	r.reload(twoHouses+"mtu = 5\n", "nothing changed", "FILE:15:7: mtu = 5: want a whole number from 1280 to 65535")
	same()
	r.reload(house{"left", 1, ""}.String()+"netns = \"x\"\n", "nothing changed", "FILE:8:1: ")
	same()
	r.reload(twoHouses+"[[link]]\nname = \"third\"\nnetns = \"./no-such-place\"\n", "nothing changed", "FILE:17:9: netns = \"./no-such-place\"")
	same()
	if opened := r.took(); len(opened) > 0 {
		t.Errorf("devices %q were opened", opened)
	}

	// A device that cannot be opened: those before it are closed again.
	r.refuse("third")
	r.reload(twoHouses+house{"second", 4, ""}.String()+house{"third", 3, ""}.String(), "nothing changed", `FILE: link "third": `+errRefused.Error())
	same()
	r.took()
	r.end()
}

// Where even a device that there was is another for a moment, it comes back.
func TestReloadRefusedDevice(t *testing.T) {
	r := startRouter(t, twoHouses)
	r.took()
	r.refuse("third")
	r.reload(house{"left", 1, "mtu = 1400"}.String()+house{"right", 2, ""}.String()+house{"third", 3, ""}.String(), "nothing changed", `link "third"`)
	if opened := r.took(); !slices.Equal(opened, []string{"left", "left"}) {
		t.Errorf("devices %q were opened", opened)
	}
	if mtu := r.stack.Stats().Links[0].MTU; mtu != 1500 {
		t.Errorf("MTU %d, want 1500", mtu)
	}
	r.echoes("left", rightEcho, 4000)
	r.end()
}

// The memory of all zones together cannot change while it is in use.
func TestReloadTotal(t *testing.T) {
	r := startRouter(t, twoHouses)
	r.reload("[defrag]\ntotal = \"32MiB\"\n"+twoHouses, "FILE: total of [defrag] holds from the next start on")
	select {
	case said := <-r.said:
		if !strings.Contains(said, "reloaded") {
			t.Errorf("it said %q", said)
		}
	case <-time.After(patience):
		t.Fatal("it did not say that it reloaded")
	}
	r.end()
}

// Nothing is left of a router that cannot start.
func TestRouterFails(t *testing.T) {
	for _, test := range []struct {
		text   string
		refuse string
		status int
		want   string
	}{
		{twoHouses + "mtu = 1\n", "", exitUsage, "FILE:15:7: mtu = 1: want"},
		{twoHouses + "[[link]]\nname = \"a\"\nnetns = \"./no-such-place\"\n", "", exitUsage, "FILE:17:9: netns = "},
		{twoHouses, "right", exitFailure, `FILE: link "right": ` + errRefused.Error()},
	} {
		r := newRouterRun(t, test.text)
		r.refuse(test.refuse)
		err := r.run(t.Context())
		if want := strings.ReplaceAll(test.want, "FILE", r.file); exitStatus(err) != test.status || !strings.Contains(err.Error(), want) {
			t.Errorf("status %d of error %v, want %d of %s", exitStatus(err), err, test.status, want)
		}
		if left := r.devices(); len(left) > 0 {
			t.Errorf("%s: devices %q are left", test.want, left)
		}
	}
}
