package jack_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/jack"
	"github.com/v6stack/v6stack/tun"
)

// The endpoints' offloads are those of the device, or of the last one while
// there is none; packets reach every device as they are.
func TestOffloads(t *testing.T) {
	m := new(machine)
	m.offload(true)
	j := open(t, m)
	defer j.Close()
	e, fresh := j.Endpoint(), j.Endpoint()
	wantOffloads(t, "at first", e, m.last(), true)
	m.offload(false)
	replug(t, j)
	wantOffloads(t, "without", e, m.last(), false)
	writeLarge(t, e, m.last())
	m.offload(true)
	replug(t, j)
	wantOffloads(t, "again", e, m.last(), true)
	writeLarge(t, e, m.last())
	m.refuse(2)
	if err := j.Replug(base); err == nil {
		t.Fatal("opened a device although the machine refuses")
	}
	refuses(t, e)
	wantOffloads(t, "gone", e, m.last(), true)
	wantOffloads(t, "gone", fresh, m.last(), true)
}

// A device whose endpoint knows no GSO has none.
func TestNoGSO(t *testing.T) {
	m := new(machine)
	m.offload(true)
	j, err := jack.Open(base, func(cfg tun.Config) (jack.Device, error) {
		device, err := m.open(cfg)
		return plainDevice{device}, err
	}, m.notify)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	e := j.Endpoint().(gstack.GSOEndpoint)
	if e.SupportedGSO() != gstack.GSONotSupported || e.GSOMaxSize() != 0 {
		t.Errorf("GSO %v of %d octets", e.SupportedGSO(), e.GSOMaxSize())
	}
}

// A plainDevice is a device whose endpoint is no [gstack.GSOEndpoint].
type plainDevice struct{ jack.Device }

func (d plainDevice) Endpoint() gstack.LinkEndpoint {
	return struct{ gstack.LinkEndpoint }{d.Device.Endpoint()}
}

func replug(t *testing.T, j *jack.Jack) {
	t.Helper()
	if err := j.Replug(base); err != nil {
		t.Fatal(err)
	}
}

// wantOffloads checks that e says of itself what d's endpoint does, and that
// this is what is wanted.
func wantOffloads(t *testing.T, when string, e gstack.LinkEndpoint, d *device, want bool) {
	t.Helper()
	gso := e.(gstack.GSOEndpoint)
	if gso.SupportedGSO() != d.channel.SupportedGSO() || gso.GSOMaxSize() != d.channel.GSOMaxSize() || e.Capabilities() != d.channel.Capabilities() {
		t.Errorf("%s: GSO %v of %d octets, capabilities %b", when, gso.SupportedGSO(), gso.GSOMaxSize(), e.Capabilities())
	}
	if got := gso.SupportedGSO() == gstack.HostGSOSupported; got != want {
		t.Errorf("%s: offloads %v, want %v", when, got, want)
	}
}

// writeLarge checks that a packet with GSOOptions reaches the device with them.
func writeLarge(t *testing.T, e gstack.LinkEndpoint, d *device) {
	t.Helper()
	large := gstack.GSO{Type: gstack.GSOTCPv6, NeedsCsum: true, CsumOffset: 16, MSS: 10, L3HdrLen: 40}
	var packets gstack.PacketBufferList
	packets.PushBack(packet())
	defer packets.Reset()
	packets.AsSlice()[0].GSOOptions = large
	n, err := e.WritePackets(packets)
	sent := d.channel.Read()
	if n != 1 || err != tcpip.Error(nil) || sent == nil || sent.GSOOptions != large {
		t.Errorf("wrote %d packets, %v", n, err)
	}
	if sent != nil {
		sent.DecRef()
	}
}
