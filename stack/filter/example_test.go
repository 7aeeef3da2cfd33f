package filter_test

import (
	"fmt"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/v6stack/v6stack/internal/wire"
	"github.com/v6stack/v6stack/stack/filter"
)

// Zone red may ask zone blue's name servers; answers pass by themselves.
func Example() {
	f, err := filter.New(filter.Config{
		Zones: map[string]uint32{"red": 1, "blue": 2},
		Rules: []filter.Rule{{
			Name: "dns", From: filter.InZone("red"), To: filter.InZone("blue"),
			Protocol:         filter.UDP,
			DestinationPorts: []filter.PortRange{{First: 53, Last: 53}},
			Action:           filter.Allow,
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	var now tcpip.MonotonicTime
	question := buffer.MakeWithData(there.Packet(wire.UDPProtocol, there.UDP(1000, 53, nil)))
	defer question.Release()
	p, ok := filter.ParseBuffer(&question)
	if !ok {
		fmt.Println("no packet to judge")
		return
	}
	p.FromZone, p.ToZone = 1, 2
	answer := p
	answer.FromZone, answer.ToZone = 2, 1
	answer.Source, answer.Destination = p.Destination, p.Source
	answer.SourcePort, answer.DestinationPort = p.DestinationPort, p.SourcePort

	for _, p := range []filter.Packet{answer, p, answer} {
		v := f.Judge(&p, now)
		fmt.Println(v.Action, "by", v.Basis)
	}
	// Output:
	// deny by default
	// allow by rule
	// allow by flow
}
