package jack_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/v6stack/v6stack/internal/jack"
	"github.com/v6stack/v6stack/tun"
)

const (
	down = `link "left" is down: its device is gone`
	up   = `link "left" is up: its device is back`
)

// said checks what the jack said since it was last asked.
func said(t *testing.T, m *machine, want ...string) {
	t.Helper()
	if got := m.said(); !slices.Equal(got, want) {
		t.Errorf("it said %q, want %q", got, want)
	}
}

// A device that goes is opened again, and the endpoint never notices but for
// packets that are refused meanwhile.
func TestDeviceGoesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := new(machine), new(counter)
		j := open(t, m)
		e := j.Endpoint()
		e.Attach(c)
		flows(t, m, e, c)
		for range 3 {
			former := m.last()
			former.fail(true)
			time.Sleep(600 * time.Millisecond)
			said(t, m, down)
			refuses(t, e)
			if !former.isClosed() {
				t.Error("the device that is gone is open")
			}
			time.Sleep(1100 * time.Millisecond)
			said(t, m, up)
			flows(t, m, e, c)
		}
		if !e.IsAttached() {
			t.Error("the endpoint is detached")
		}
		e.Attach(nil)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

// It is tried for as long as it takes, once a second, and said once.
func TestDeviceStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(machine)
		j := open(t, m)
		m.last().fail(true)
		m.refuse(3600)
		time.Sleep(time.Hour)
		said(t, m, down)
		if n := m.tried(); n < 3590 || n > 3610 {
			t.Errorf("%d attempts in an hour", n)
		}
		time.Sleep(10 * time.Second)
		said(t, m, up)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Reads that fail once in a while are no reason.
func TestFailedReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(machine)
		j := open(t, m)
		for range 10 {
			m.last().fail(false)
			time.Sleep(time.Second)
		}
		said(t, m)
		if m.tried() != 1 || m.last().isClosed() {
			t.Errorf("%d devices were opened", m.tried())
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestReplug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := new(machine), new(counter)
		j := open(t, m)
		e := j.Endpoint()
		e.Attach(c)
		large := tun.Config{Name: "left", MTU: 9000}
		if err := j.Replug(large); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(j.Config(), large) || e.MTU() != 9000 {
			t.Errorf("configuration %+v, MTU %d", j.Config(), e.MTU())
		}
		flows(t, m, e, c)

		// One that cannot be opened leaves the former in place.
		m.refuse(1)
		if err := j.Replug(base); !errors.Is(err, errRefused) {
			t.Errorf("error %v", err)
		}
		if !reflect.DeepEqual(j.Config(), large) || e.MTU() != 9000 {
			t.Errorf("configuration %+v, MTU %d", j.Config(), e.MTU())
		}
		flows(t, m, e, c)
		said(t, m)

		// If not even that can be opened any more, it is as if it were gone.
		m.refuse(2)
		if err := j.Replug(base); !errors.Is(err, errRefused) {
			t.Errorf("error %v", err)
		}
		refuses(t, e)
		said(t, m, `link "left" is down: `+errRefused.Error())
		time.Sleep(2 * time.Second)
		said(t, m, up)
		if got := m.last().cfg.MTU; got != 9000 {
			t.Errorf("a device of MTU %d came back", got)
		}
		flows(t, m, e, c)

		// Without a device, too, another one may be asked for.
		m.last().fail(true)
		time.Sleep(600 * time.Millisecond)
		said(t, m, down)
		if err := j.Replug(base); err != nil {
			t.Error(err)
		}
		flows(t, m, e, c)
		e.Attach(nil)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(machine)
		j := open(t, m)
		e := j.Endpoint()
		for range 2 {
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		}
		if !m.last().isClosed() {
			t.Error("the device is open")
		}
		refuses(t, e)
		if err := j.Replug(base); err == nil {
			t.Error("a closed jack takes another device")
		}
		time.Sleep(time.Minute)
		if m.tried() != 1 {
			t.Errorf("%d devices were opened", m.tried())
		}
	})
}

// Closing does not depend on whether there is a device.
func TestCloseWithoutDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(machine)
		j := open(t, m)
		m.last().fail(true)
		m.refuse(100)
		time.Sleep(5 * time.Second)
		said(t, m, down)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestOpenFails(t *testing.T) {
	m := new(machine)
	m.refuse(1)
	if j, err := jack.Open(base, m.open, m.notify); j != nil || !errors.Is(err, errRefused) {
		t.Errorf("%v, error %v", j, err)
	}
}

// A real device is refused like any other; what is asked for comes from package
// tun.
func TestOpenTUN(t *testing.T) {
	if device, err := jack.OpenTUN(tun.Config{MTU: 1}); device != nil || !errors.Is(err, tun.ErrConfig) {
		t.Errorf("%v, error %v", device, err)
	}
}
