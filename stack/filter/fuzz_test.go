package filter_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack/filter"
)

// A script is a fuzzer's bytes, read as decisions. At its end all decisions
// are 0.
type script []byte

// next takes a decision between n.
func (s *script) next(n int) int {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b) % n
}

var (
	scriptHosts     = [...][16]byte{alice, bob, carol}
	scriptPorts     = [...]uint16{53, 1000, 1001}
	scriptFlags     = [...]uint8{syn, syn | ack, ack, fin | ack, rst, rst | ack, ack | push, syn | fin, 0}
	scriptProtocols = [...]uint8{filter.TCP, filter.TCP, filter.TCP, filter.UDP, filter.UDP, filter.ICMPv6, 99}
	scriptTypes     = [...]uint8{128, 129, 128, 144}
	scriptPauses    = [...]time.Duration{0, 0, 0, 1, 2 * time.Second, 3 * time.Second, 10 * time.Second, 31 * time.Second, 61 * time.Second, 120 * time.Second, 599 * time.Second, 432000 * time.Second, -time.Second}

	scriptRules = [...][]filter.Rule{
		{{Action: filter.Allow}},
		{redToBlue},
		{},
		{{Protocol: filter.UDP, DestinationPorts: []filter.PortRange{{First: 1000, Last: 1001}}, Action: filter.Reject}, redToBlue,
			{From: filter.OnLink("left"), Action: filter.Allow}},
		{{Source: netip.MustParsePrefix("2001:db8:a::/64"), Action: filter.Allow}, {To: filter.OnLink("middle")}},
		{{Protocol: filter.ICMPv6, ICMPTypes: []uint8{129}, Action: filter.Allow, Stateless: true}, {Protocol: filter.ICMPv6, ICMPTypes: []uint8{2}},
			{Protocol: filter.TCP, SourcePorts: []filter.PortRange{{First: 53, Last: 1000}}, To: filter.InZone(""), Action: filter.Allow}, {Protocol: 99, Action: filter.Allow, Stateless: true}},
	}
)

// config takes rules and a size.
func (s *script) config() filter.Config {
	c := config(scriptRules[s.next(len(scriptRules))]...)
	c.MaxFlows = 1 + s.next(5)
	return c
}

// packet takes a packet.
func (s *script) packet() filter.Packet {
	p := filter.Packet{
		Source: scriptHosts[s.next(3)], Destination: scriptHosts[s.next(3)],
		Protocol: scriptProtocols[s.next(len(scriptProtocols))],
		Length:   40 + s.next(256),
	}
	where := s.next(256)
	p.FromZone, p.ToZone = uint32(where%3), uint32(where/3%3)
	p.FromLink, p.ToLink = 1+uint32(where/9%2), 1+uint32(where/18%3)
	switch p.Protocol {
	case filter.TCP:
		p.TCPFlags = scriptFlags[s.next(len(scriptFlags))]
		fallthrough
	case filter.UDP:
		p.SourcePort, p.DestinationPort = scriptPorts[s.next(3)], scriptPorts[s.next(3)]
	case filter.ICMPv6:
		p.ICMPType = scriptTypes[s.next(len(scriptTypes))]
		if p.ICMPType < 130 {
			p.Identifier = uint16(s.next(2))
		}
	}
	return p
}

// judged takes a packet that is, more often than not, of a flow or an error
// about one of those before.
func (s *script) judged(past []filter.Packet) filter.Packet {
	how := s.next(8)
	if len(past) == 0 || how == 0 {
		return s.packet()
	}
	p := past[len(past)-1-s.next(min(len(past), 3))]
	if p.Protocol == filter.TCP {
		p.TCPFlags = scriptFlags[s.next(len(scriptFlags))]
	}
	switch how {
	case 1:
		p.FromLink = 1 + uint32(s.next(3))
	case 2:
		p = errorAbout(p)
	case 3:
		p = fragmentErrorAbout(p)
	case 4:
		p = errorAbout(back(p))
	case 5, 6:
		p = back(p)
	}
	return p
}

// FuzzJudge compares the filter with the model, packet by packet.
func FuzzJudge(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 20 {
		seed := make([]byte, 40*n)
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkScript(t, script(data[:min(len(data), 1000)])) })
}

// TestModel runs many scripts more than the fuzzer's seeds.
func TestModel(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 150 {
		data := make([]byte, 600)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		checkScript(t, script(data))
		if t.Failed() {
			return
		}
	}
}

func checkScript(t *testing.T, s script) {
	c := s.config()
	subject := newFilter(t, c)
	m := &model{config: c}
	var past []filter.Packet
	now := time.Hour
	for step := 0; len(s) > 0; step++ {
		now += scriptPauses[s.next(len(scriptPauses))]
		if s.next(32) == 1 {
			c = s.config()
			if err := subject.Replace(c); err != nil {
				t.Fatal(err)
			}
			m.replace(c)
		}
		p := s.judged(past)
		if p.Protocol != filter.ICMPv6 || p.ICMPType >= 128 {
			past = append(past, p)
		}
		got, want := subject.Judge(&p, at(now)), m.judge(p, now)
		if got != want {
			t.Fatalf("step %d, %+v: verdict %v, want %v", step, p, got, want)
		}
		compareFlows(t, step, subject, m)
	}
}

// compareFlows compares all that is known of all flows.
func compareFlows(t *testing.T, step int, subject *filter.Filter, m *model) {
	t.Helper()
	var got, want []string
	for flow := range subject.Flows(at(m.now)) {
		got = append(got, fmt.Sprintf("%+v", flow))
	}
	for _, flow := range m.flows {
		want = append(want, fmt.Sprintf("%+v", flow.public(m.now)))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("step %d: flows\n%v\nwant\n%v", step, got, want)
	}
	if n := subject.Stats(at(m.now)).Evicted; n != uint64(m.evicted) {
		t.Fatalf("step %d: %d evicted, want %d", step, n, m.evicted)
	}
}

// FuzzParse compares what is read of a packet in one piece, in views of any
// size, and by a slower parser.
func FuzzParse(f *testing.F) {
	for _, c := range parses() {
		f.Add(c.packet, uint64(1))
	}
	f.Add(there.Fragment(wire.Fragment{Next: wire.TCP, More: true}, wire.Payload(8)), uint64(2))
	f.Fuzz(func(t *testing.T, packet []byte, seed uint64) {
		if len(packet) > 70000 {
			return
		}
		got, ok := filter.Parse(packet)
		if want, wanted := modelParse(packet); ok != wanted || ok && got != want {
			t.Errorf("%v %+v\nwant %v %+v", ok, got, wanted, want)
		}
		random := rand.New(rand.NewPCG(seed, 0))
		split, splitOK := parseSplit(packet, func() int { return 1 + int(random.Uint32()%64) })
		if split != got || splitOK != ok {
			t.Errorf("in views: %v %+v\nin one piece: %v %+v", splitOK, split, ok, got)
		}
	})
}
