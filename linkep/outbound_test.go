package linkep_test

import (
	"fmt"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/defrag"
	"github.com/v6stack/v6stack/linkep"
)

// A failing endpoint writes n packets and then fails.
type failing struct {
	*channel.Endpoint
	n   int
	err tcpip.Error
}

func (f *failing) WritePackets(gstack.PacketBufferList) (int, tcpip.Error) { return f.n, f.err }

func TestWriteErrors(t *testing.T) {
	full, closed := tcpip.Error(&tcpip.ErrNoBufferSpace{}), tcpip.Error(&tcpip.ErrClosedForSend{})
	for _, c := range []struct{ err, want tcpip.Error }{
		{nil, nil},
		{&tcpip.ErrNoBufferSpace{}, full},
		{&tcpip.ErrWouldBlock{}, full},
		{&tcpip.ErrMessageTooLong{}, full},
		{&tcpip.ErrClosedForSend{}, closed},
		{&tcpip.ErrInvalidEndpointState{}, closed},
		{&tcpip.ErrConnectionRefused{}, closed},
		{&tcpip.ErrAborted{}, closed},
	} {
		lower := &failing{channel.New(1, mtu, ""), 3, c.err}
		e := newEndpoint(t, lower, linkep.Options{})
		n, err := e.WritePackets(gstack.PacketBufferList{})
		if n != 3 || fmt.Sprintf("%T", err) != fmt.Sprintf("%T", c.want) {
			t.Errorf("%T: got %d, %T, want 3, %T", c.err, n, err, c.want)
		}
	}
}

func TestPacketsGoDownUntilClosed(t *testing.T) {
	lower := newChannelLink()
	e := newEndpoint(t, lower.endpoint(), linkep.Options{})
	var packets gstack.PacketBufferList
	packets.PushBack(newPacket(fragmentsOf(1, nil, 8)[0]))
	defer packets.Reset()
	if n, err := e.WritePackets(packets); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	lower.receive(t)
	e.Close()
	if n, err := e.WritePackets(packets); n != 0 || err == nil {
		t.Errorf("after Close: got %d, %v", n, err)
	}
}

func TestLowerEndpointShowsThrough(t *testing.T) {
	lower := newChannelLink()
	const capabilities = gstack.CapabilityTXChecksumOffload | gstack.CapabilityRXChecksumOffload
	lower.LinkEPCapabilities = capabilities
	lower.SupportedGSOKind = gstack.HostGSOSupported
	e := newEndpoint(t, lower.endpoint(), linkep.Options{})
	e.SetLinkAddress(localMAC)
	if e.MTU() != mtu || e.LinkAddress() != localMAC || e.Capabilities() != capabilities ||
		e.SupportedGSO() != gstack.HostGSOSupported || e.GSOMaxSize() != lower.GSOMaxSize() ||
		e.Child() != lower.endpoint() {
		t.Error("the endpoint says something else than the one it wraps")
	}
}

// Below an endpoint that knows no GSO there is none.
func TestLowerEndpointWithoutGSO(t *testing.T) {
	e := newEndpoint(t, struct{ gstack.LinkEndpoint }{newChannelLink()}, linkep.Options{})
	if e.SupportedGSO() != gstack.GSONotSupported || e.GSOMaxSize() != 0 {
		t.Errorf("GSO %v of %d octets", e.SupportedGSO(), e.GSOMaxSize())
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		lower   gstack.LinkEndpoint
		options linkep.Options
		want    string
	}{
		{"no lower endpoint", nil, linkep.Options{}, "lower endpoint"},
		{
			"bad engine", channel.New(1, mtu, ""),
			linkep.Options{EngineConfig: defrag.Config{Zone: defrag.ZoneConfig{Timeout: -1}}}, "timeout",
		},
	} {
		if e, err := linkep.New(c.lower, c.options); e != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error about the %s", c.name, err, c.want)
		}
	}
}
