package offload_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/v6stack/v6stack/internal/offload"
	"github.com/v6stack/v6stack/internal/wire"
)

func TestJobOf(t *testing.T) {
	six := tcp(3000)
	extended := tcp(3000).with(func(d *draft) { d.extensions = extensions })
	four := tcp(3000).with(func(d *draft) { d.v4 = true; d.ipOptions = 2 })
	gso := gstack.GSO{Type: gstack.GSOTCPv6, NeedsCsum: true, MSS: 1000, L3HdrLen: 40, CsumOffset: 16, MaxSize: 65535}
	gso4 := gso
	gso4.Type, gso4.L3HdrLen = gstack.GSOTCPv4, 20
	summed := gso
	summed.NeedsCsum = false
	uncut := gso
	uncut.MSS = 0
	for name, c := range map[string]struct {
		packet []byte
		gso    gstack.GSO
		want   offload.Job
		count  int
	}{
		"none":     {six.packet(), gstack.GSO{}, offload.Job{}, 1},
		"software": {six.packet(), gstack.GSO{Type: gstack.GSOGvisor, MSS: 1000}, offload.Job{}, 1},
		"ipv6":     {six.packet(), gso, offload.Job{Kind: offload.TCP, MSS: 1000, Checksum: true, Start: 40, Offset: 16}, 3},
		"extended": {extended.packet(), gso, offload.Job{Kind: offload.TCP, MSS: 1000, Checksum: true, Start: 64, Offset: 16}, 3},
		"ipv4":     {four.packet(), gso4, offload.Job{Kind: offload.TCP, MSS: 1000, Checksum: true, Start: 28, Offset: 16}, 3},
		"summed":   {six.packet(), summed, offload.Job{Kind: offload.TCP, MSS: 1000, Start: 40, Offset: 16}, 3},
		"uncut":    {six.packet(), uncut, offload.Job{Checksum: true, Start: 40, Offset: 16}, 1},
		"cut off":  {six.packet()[:50], gso, offload.Job{Kind: offload.TCP, MSS: 1000, Checksum: true, Start: 40, Offset: 16}, 1},
	} {
		b := inViews(c.packet, 33)
		if got := offload.JobOf(c.gso, &b); got != c.want {
			t.Errorf("%s: job %+v, want %+v", name, got, c.want)
		}
		want := c.want.Sizes(&b)
		if want.Count != c.count {
			t.Errorf("%s: %d packets, want %d", name, want.Count, c.count)
		}
		b.Release()
		pkt := received(c.packet)
		pkt.GSOOptions = c.gso
		if got := offload.JobOfPacket(pkt); got != c.want {
			t.Errorf("%s: job of the packet %+v, want %+v", name, got, c.want)
		}
		if got := offload.SizesOf(pkt); got != want {
			t.Errorf("%s: sizes of the packet %+v, want %+v", name, got, want)
		}
		pkt.DecRef()
	}
}

// A packet as gVisor sends it is read behind its spare room.
func TestJobOfSent(t *testing.T) {
	for name, d := range drafts {
		if d.udp {
			continue
		}
		pkt := d.sent()
		pkt.GSOOptions = d.job(1000).GSO(header.IPv6ProtocolNumber)
		if d.v4 {
			pkt.GSOOptions = d.job(1000).GSO(header.IPv4ProtocolNumber)
		}
		pkt.GSOOptions.L3HdrLen = 0
		if got, want := offload.JobOfPacket(pkt), d.job(1000); got != want {
			t.Errorf("%s: job %+v, want %+v", name, got, want)
		}
		want := offload.Sizes{Count: 3, Largest: d.headers() + 1000, Octets: 3*d.headers() + 3000}
		if got := offload.SizesOf(pkt); got != want {
			t.Errorf("%s: sizes %+v, want %+v", name, got, want)
		}
		pkt.DecRef()
	}
}

func TestJobAsGSO(t *testing.T) {
	job := offload.Job{Kind: offload.TCP, MSS: 1440, Checksum: true, Start: 40, Offset: 16}
	only := job
	only.Kind, only.MSS = offload.None, 0
	udp := job
	udp.Kind = offload.UDP
	datagram := only
	datagram.Offset = 6
	long := job
	long.MSS, long.Checksum = 1<<20, false
	for name, c := range map[string]struct {
		job      offload.Job
		protocol tcpip.NetworkProtocolNumber
		want     gstack.GSO
	}{
		"ipv6":          {job, header.IPv6ProtocolNumber, gstack.GSO{Type: gstack.GSOTCPv6, NeedsCsum: true, CsumOffset: 16, MSS: 1440, L3HdrLen: 40}},
		"ipv4":          {job, header.IPv4ProtocolNumber, gstack.GSO{Type: gstack.GSOTCPv4, NeedsCsum: true, CsumOffset: 16, MSS: 1440, L3HdrLen: 40}},
		"checksum only": {only, header.IPv6ProtocolNumber, gstack.GSO{Type: gstack.GSOTCPv6, NeedsCsum: true, CsumOffset: 16, MSS: 65535, L3HdrLen: 40}},
		"long":          {long, header.IPv6ProtocolNumber, gstack.GSO{Type: gstack.GSOTCPv6, CsumOffset: 16, MSS: 65535, L3HdrLen: 40}},
		"udp":           {udp, header.IPv6ProtocolNumber, gstack.GSO{}},
		"udp checksum":  {datagram, header.IPv6ProtocolNumber, gstack.GSO{}},
		"zero":          {offload.Job{}, header.IPv6ProtocolNumber, gstack.GSO{}},
	} {
		if got := c.job.GSO(c.protocol); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// Malformed packets count as one.
func TestSizesOfMalformed(t *testing.T) {
	packet := tcp(3000).packet()
	for _, j := range []offload.Job{
		{Kind: offload.TCP, Start: 40},
		{Kind: offload.TCP, MSS: 100, Start: -1},
		{Kind: offload.TCP, MSS: 100, Start: 5000},
		{Kind: offload.UDP, MSS: 100, Start: len(packet) - 7},
	} {
		b := inViews(packet)
		if got, want := j.Sizes(&b), (offload.Sizes{Count: 1, Largest: len(packet), Octets: len(packet)}); got != want {
			t.Errorf("%+v: sizes %+v, want %+v", j, got, want)
		}
		b.Release()
	}
}

func TestKindString(t *testing.T) {
	for kind, want := range map[offload.Kind]string{offload.None: "none", offload.TCP: "tcp", offload.UDP: "udp", 7: "Kind(7)"} {
		if got := kind.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What a chain of extension headers leads to is found however long it is.
func TestLongChain(t *testing.T) {
	d := tcp(10)
	for range 200 {
		d.extensions = d.extensions.With(wire.DestinationOptions, wire.Options(1))
	}
	packet := d.packet()
	if !valid(packet) || !valid(packet, 800) {
		t.Error("invalid")
	}
	equal(t, split(t, d.job(3), inViews(packet, 700)), d.segments(3))
}
