package filter_test

import (
	"testing"
	"time"

	"github.com/v6stack/v6stack/stack/filter"
)

// What opens a flow, and what passes as its reply.
func TestReplies(t *testing.T) {
	for name, c := range map[string]struct {
		first, reply filter.Packet
	}{
		"UDP":         {udp(), back(udp())},
		"TCP":         {tcp(syn), back(tcp(syn | ack))},
		"TCP begun":   {tcp(ack | push), back(tcp(ack))},
		"TCP closing": {tcp(fin | ack), back(tcp(ack))},
		"both open":   {tcp(syn), back(tcp(syn))},
		"echo":        {icmp(128), back(icmp(128))},
		"other":       {packet(99), back(packet(99))},
	} {
		f := newFilter(t, config(redToBlue))
		expect(t, f, c.reply, 0, denied)
		expect(t, f, c.first, 0, byRule(filter.Allow, 0))
		expect(t, f, c.reply, 0, byFlow(0))
		expect(t, f, c.first, 0, byFlow(0))
		if n := len(flows(f, 0)); n != 1 {
			t.Errorf("%s: %d flows, want 1", name, n)
		}
	}
}

// What opens no flow though it is allowed.
func TestOpensNothing(t *testing.T) {
	for name, p := range map[string]filter.Packet{
		"RST":             tcp(rst),
		"RST, ACK":        tcp(rst | ack),
		"SYN, ACK":        tcp(syn | ack),
		"FIN":             tcp(fin),
		"SYN, FIN":        tcp(syn | fin),
		"SYN, RST":        tcp(syn | rst),
		"no flags":        tcp(0),
		"all flags":       tcp(0xff),
		"echo reply":      icmp(129),
		"an ICMPv6 error": icmp(1),
		"ICMPv6":          icmp(144),
	} {
		f := newFilter(t, config(redToBlue))
		expect(t, f, p, 0, byRule(filter.Allow, 0))
		if n := len(flows(f, 0)); n != 0 {
			t.Errorf("%s opened %d flows", name, n)
		}
	}
}

// What is no packet of the flow of the first.
func TestStrangers(t *testing.T) {
	change := func(p filter.Packet, how func(*filter.Packet)) filter.Packet {
		how(&p)
		return p
	}
	for name, c := range map[string]struct {
		first, stranger filter.Packet
	}{
		"another port":       {udp(), change(back(udp()), func(p *filter.Packet) { p.DestinationPort++ })},
		"the ports swapped":  {udp(), change(back(udp()), func(p *filter.Packet) { p.SourcePort, p.DestinationPort = 1000, 53 })},
		"another protocol":   {udp(), change(back(udp()), func(p *filter.Packet) { p.Protocol, p.TCPFlags = filter.TCP, ack })},
		"another address":    {udp(), change(back(udp()), func(p *filter.Packet) { p.Source = carol })},
		"another zone":       {udp(), change(back(udp()), func(p *filter.Packet) { p.FromZone = normal })},
		"to another zone":    {udp(), change(back(udp()), func(p *filter.Packet) { p.ToZone = normal })},
		"another identifier": {icmp(128), change(back(icmp(128)), func(p *filter.Packet) { p.Identifier++ })},
		"a request":          {icmp(128), change(back(icmp(128)), func(p *filter.Packet) { p.ICMPType = 128 })},
		"a SYN":              {tcp(ack), back(tcp(syn))},
	} {
		f := newFilter(t, config(redToBlue))
		expect(t, f, c.first, 0, byRule(filter.Allow, 0))
		if got := f.Judge(&c.stranger, at(0)); got != denied {
			t.Errorf("%s: verdict %v, want %v", name, got, denied)
		}
	}
}

// Two nodes may ask each other under the same Identifier.
func TestEchoBothWays(t *testing.T) {
	f := newFilter(t, config(filter.Rule{Protocol: filter.ICMPv6, ICMPTypes: []uint8{128}, Action: filter.Allow}))
	other := back(icmp(128))
	other.ICMPType = 128
	for _, p := range []filter.Packet{icmp(128), other} {
		expect(t, f, back(p), 0, denied)
		expect(t, f, p, 0, byRule(filter.Allow, 0))
	}
	for _, p := range []filter.Packet{icmp(128), other} {
		expect(t, f, back(p), 0, byFlow(0))
	}
	if n := len(flows(f, 0)); n != 2 {
		t.Errorf("%d flows, want 2", n)
	}
}

func TestStateless(t *testing.T) {
	stateless := redToBlue
	stateless.Stateless = true
	f := newFilter(t, config(stateless))
	for range 2 {
		expect(t, f, udp(), 0, byRule(filter.Allow, 0))
		expect(t, f, back(udp()), 0, denied)
	}
}

// A node may talk to itself, and nothing is mistaken for a reply.
func TestOneEnd(t *testing.T) {
	f := newFilter(t, filter.Config{})
	p := udp()
	p.Destination, p.ToZone, p.ToLink, p.DestinationPort = p.Source, p.FromZone, p.FromLink, p.SourcePort
	expect(t, f, p, 0, inside)
	expect(t, f, p, 0, insideFlow)
	if flow := flows(f, 0)[0]; flow.Replied {
		t.Error("replied")
	}
}

// A flow goes other ways only where the rules let it.
func TestOtherLinks(t *testing.T) {
	rule := filter.Rule{From: filter.OnLink("left"), Action: filter.Allow}
	f := newFilter(t, config(rule))
	expect(t, f, udp(), 0, byRule(filter.Allow, 0))

	elsewhere := back(udp())
	elsewhere.FromLink = middle // The rule does not mind.
	expect(t, f, elsewhere, 0, byFlow(0))
	elsewhere = back(udp())
	elsewhere.ToLink = middle
	expect(t, f, elsewhere, 0, denied)
	expect(t, f, back(elsewhere), 0, denied)
	expect(t, f, back(udp()), 0, byFlow(0))

	// A packet that the rules let pass there by itself does not take the flow
	// over.
	f = newFilter(t, config(rule, filter.Rule{From: filter.OnLink("middle"), Action: filter.Allow, Stateless: true}))
	expect(t, f, udp(), 0, byRule(filter.Allow, 0))
	expect(t, f, back(elsewhere), 0, byRule(filter.Allow, 1))
	if flow := flows(f, 0)[0]; flow.FromLink != left || flow.There.Packets != 1 {
		t.Errorf("flow %+v", flow)
	}

	// Nor the place of a connection that has ended, unless it is a SYN.
	f = newFilter(t, config(filter.Rule{From: filter.OnLink("left"), To: filter.OnLink("right"), Action: filter.Allow}, filter.Rule{From: filter.OnLink("middle"), Action: filter.Allow}))
	expect(t, f, tcp(ack), 0, byRule(filter.Allow, 0))
	expect(t, f, back(tcp(rst)), 0, byFlow(0))
	stray := back(tcp(ack))
	stray.FromLink = middle
	expect(t, f, stray, 0, byRule(filter.Allow, 1))
	if flow := flows(f, 0)[0]; flow.FromLink != left || flow.State != filter.Closed {
		t.Errorf("flow %+v", flow)
	}
	stray.TCPFlags = syn
	expect(t, f, stray, 0, byRule(filter.Allow, 1))
	if flow := flows(f, 0)[0]; flow.FromLink != middle || flow.State != filter.SynSent {
		t.Errorf("flow %+v", flow)
	}
}

// Equal addresses and ports in two zones are two flows.
func TestZonesApart(t *testing.T) {
	f := newFilter(t, filter.Config{})
	for _, zone := range []uint32{red, blue} {
		p := udp()
		p.FromZone, p.ToZone = zone, zone
		expect(t, f, p, 0, inside)
		expect(t, f, back(p), 0, insideFlow)
	}
	if n := len(flows(f, 0)); n != 2 {
		t.Errorf("%d flows, want 2", n)
	}
}

// How long each state lasts, by the packets that lead to it.
func TestTimeouts(t *testing.T) {
	later := 3 * time.Second
	for name, c := range map[string]struct {
		packets []filter.Packet // each later than the one before
		state   filter.State
		timeout time.Duration
	}{
		"UDP":             {[]filter.Packet{udp()}, filter.Datagrams, 30 * time.Second},
		"UDP again":       {[]filter.Packet{udp(), udp()}, filter.Datagrams, 30 * time.Second},
		"UDP stream":      {[]filter.Packet{udp(), back(udp())}, filter.Stream, 120 * time.Second},
		"echo":            {[]filter.Packet{icmp(128)}, filter.Echo, 30 * time.Second},
		"echo reply":      {[]filter.Packet{icmp(128), back(icmp(128))}, filter.Echo, 30 * time.Second},
		"other":           {[]filter.Packet{packet(99)}, filter.Other, 600 * time.Second},
		"SYN":             {[]filter.Packet{tcp(syn)}, filter.SynSent, 120 * time.Second},
		"SYN, SYN+ACK":    {[]filter.Packet{tcp(syn), back(tcp(syn | ack))}, filter.SynReceived, 60 * time.Second},
		"SYN again":       {[]filter.Packet{tcp(syn), back(tcp(syn | ack)), tcp(syn)}, filter.SynReceived, 60 * time.Second},
		"both open":       {[]filter.Packet{tcp(syn), back(tcp(syn)), tcp(syn | ack)}, filter.Established, 432000 * time.Second},
		"not the last":    {[]filter.Packet{tcp(ack), tcp(fin | ack), back(tcp(fin | ack)), back(tcp(ack))}, filter.LastAck, 30 * time.Second},
		"FIN again":       {[]filter.Packet{tcp(ack), tcp(fin | ack), tcp(fin | ack), tcp(ack)}, filter.FinWait, 120 * time.Second},
		"established":     {[]filter.Packet{tcp(syn), back(tcp(syn | ack)), tcp(ack)}, filter.Established, 432000 * time.Second},
		"picked up":       {[]filter.Packet{tcp(ack)}, filter.Established, 300 * time.Second},
		"picked up, ACK":  {[]filter.Packet{tcp(ack), back(tcp(ack))}, filter.Established, 432000 * time.Second},
		"FIN":             {[]filter.Packet{tcp(ack), back(tcp(ack)), tcp(fin | ack)}, filter.FinWait, 120 * time.Second},
		"FIN, ACK":        {[]filter.Packet{tcp(ack), tcp(fin | ack), back(tcp(ack))}, filter.CloseWait, 60 * time.Second},
		"FIN, FIN":        {[]filter.Packet{tcp(ack), tcp(fin | ack), back(tcp(fin | ack))}, filter.LastAck, 30 * time.Second},
		"FIN, FIN, ACK":   {[]filter.Packet{tcp(ack), back(tcp(fin | ack)), tcp(fin | ack), back(tcp(ack))}, filter.TimeWait, 120 * time.Second},
		"RST":             {[]filter.Packet{tcp(ack), back(tcp(rst))}, filter.Closed, 10 * time.Second},
		"FIN not the 1st": {[]filter.Packet{tcp(fin | ack)}, filter.FinWait, 120 * time.Second},
	} {
		f := newFilter(t, config(redToBlue))
		now := time.Duration(0)
		for i := range c.packets {
			now += later
			if v := f.Judge(&c.packets[i], at(now)); v.Action != filter.Allow {
				t.Errorf("%s: packet %d: %v", name, i, v)
			}
		}
		before, after := flows(f, now+c.timeout-1), flows(f, now+c.timeout)
		if len(before) != 1 || len(after) != 0 {
			t.Errorf("%s: %d flows before %v, %d after", name, len(before), c.timeout, len(after))
			continue
		}
		if flow := before[0]; flow.State != c.state || flow.Expires != 1 || flow.Age != now-later+c.timeout-1 {
			t.Errorf("%s: %v, expires %v, age %v, want %v", name, flow.State, flow.Expires, flow.Age, c.state)
		}
	}
}

// An answer within two seconds makes no stream, a packet later does.
func TestStreamLater(t *testing.T) {
	f := newFilter(t, config(redToBlue))
	expect(t, f, udp(), 0, byRule(filter.Allow, 0))
	expect(t, f, back(udp()), 2*time.Second, byFlow(0))
	if flow := flows(f, 2*time.Second)[0]; flow.State != filter.Datagrams || !flow.Replied {
		t.Errorf("%v, replied %v", flow.State, flow.Replied)
	}
	expect(t, f, udp(), 2*time.Second+1, byFlow(0))
	if flow := flows(f, 2*time.Second+1)[0]; flow.State != filter.Stream {
		t.Errorf("%v, want a stream", flow.State)
	}
}

// An expired flow is dead though nothing has removed it, and time that goes
// back does not wake it.
func TestExpiredIsDead(t *testing.T) {
	f := newFilter(t, config(redToBlue))
	expect(t, f, udp(), 0, byRule(filter.Allow, 0))
	expect(t, f, back(udp()), 30*time.Second, denied)
	expect(t, f, udp(), 30*time.Second, byRule(filter.Allow, 0))
	expect(t, f, back(udp()), 29*time.Second, byFlow(0))
	if s := f.Stats(at(0)); s.Opened != 2 || s.Expired != 1 {
		t.Errorf("%+v", s.Turnover)
	}
}

// A SYN behind the end of a connection asks the rules, from either side.
func TestRestart(t *testing.T) {
	closed := []filter.Packet{tcp(ack), back(tcp(rst))}
	waiting := []filter.Packet{tcp(ack), tcp(fin | ack), back(tcp(fin | ack)), tcp(ack)}
	for name, packets := range map[string][]filter.Packet{"closed": closed, "time-wait": waiting} {
		f := newFilter(t, config(redToBlue))
		for _, p := range packets {
			f.Judge(&p, at(0))
		}
		expect(t, f, back(tcp(syn)), 0, denied)
		expect(t, f, tcp(ack), 0, byFlow(0)) // The refusal left the flow alone.
		expect(t, f, tcp(syn), 0, byRule(filter.Allow, 0))
		all := flows(f, 0)
		if len(all) != 1 || all[0].State != filter.SynSent || all[0].Replied {
			t.Errorf("%s: %+v", name, all)
		}
	}
}
